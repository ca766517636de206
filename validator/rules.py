"""How each kind of rule in a profile becomes checks on the recorded pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sol.measure.stats import Floats, mean_by_unit, one_sided_lower
from sol.validator.profile import Difference, Floor, Profile, Ratio, Rule, Worst
from sol.validator.records import Comparison, PairRecord
from sol.validator.verdict import Check

_FEWEST_PROMPTS = 2


def check_rule(
    rule: Rule, profile: Profile, pairs: Sequence[PairRecord], rng: np.random.Generator
) -> tuple[Check, ...]:
    """One check, or two for a ratio: `<metric>_<kind>`, `<metric>_ratio_min` and `_max`.

    Metrics are averaged over the seeds of a prompt, and bounded over prompts. Anything missing or
    not finite fails the rule.
    """
    fault = _find_fault(rule, pairs)
    if fault:
        return (Check(f"{rule.metric}_{rule.kind}", False, None, None, None, 0, fault),)
    if isinstance(rule, Worst):
        return (_check_worst(rule, pairs),)
    if isinstance(rule, Floor):
        return (_check_floor(rule, profile, pairs, rng),)
    if isinstance(rule, Difference):
        return (_check_difference(rule, profile, pairs, rng),)
    return _check_ratio(rule, profile, pairs, rng)


def _find_fault(rule: Rule, pairs: Sequence[PairRecord]) -> str | None:
    """Why the rule cannot be computed, or None if it can."""
    n_prompts = len({pair.prompt for pair in pairs})
    if n_prompts < _FEWEST_PROMPTS:
        return f"{n_prompts} prompts recorded, a bound needs {_FEWEST_PROMPTS}"
    n_bad = sum(not _is_measured(rule, pair) for pair in pairs)
    return f"{n_bad} of {len(pairs)} pairs have no finite {rule.metric}" if n_bad else None


def _is_measured(rule: Rule, pair: PairRecord) -> bool:
    needs_pair = isinstance(rule, Floor | Worst)
    sources = (pair.paired,) if needs_pair else (pair.baseline, pair.accelerated)
    return all(math.isfinite(source.get(rule.metric, math.nan)) for source in sources)


def _check_worst(rule: Worst, pairs: Sequence[PairRecord]) -> Check:
    worst = min(pairs, key=lambda pair: pair.paired[rule.metric])
    value = float(worst.paired[rule.metric])
    detail = (
        f"lowest {rule.metric} of {len(pairs)} videos is {value:.4g}, at least {rule.margin:g} "
        f"needed: {worst.prompt!r} seed {worst.seed}"
    )
    passed = value >= rule.margin
    return Check(f"{rule.metric}_worst", passed, value, value, rule.margin, len(pairs), detail)


def _check_floor(
    rule: Floor, profile: Profile, pairs: Sequence[PairRecord], rng: np.random.Generator
) -> Check:
    values = _by_prompt(pairs, [pair.paired[rule.metric] for pair in pairs])
    return _check_mean(f"{rule.metric}_floor", values, rule.margin, profile, rng)


def _check_difference(
    rule: Difference, profile: Profile, pairs: Sequence[PairRecord], rng: np.random.Generator
) -> Check:
    values = _of(rule.metric, pairs, accelerated=True) - _of(rule.metric, pairs, accelerated=False)
    return _check_mean(f"{rule.metric}_difference", values, -rule.margin, profile, rng)


def _check_mean(
    name: str, values: Floats, limit: float, profile: Profile, rng: np.random.Generator
) -> Check:
    mean, bound = float(values.mean()), one_sided_lower(values, rng, profile.confidence)
    detail = (
        f"mean {mean:.4g} over {values.size} prompts, {profile.confidence:.0%} lower bound "
        f"{bound:.4g}, at least {limit:g} needed"
    )
    return Check(name, bound >= limit, mean, bound, limit, values.size, detail)


def _check_ratio(
    rule: Ratio, profile: Profile, pairs: Sequence[PairRecord], rng: np.random.Generator
) -> tuple[Check, Check]:
    """Bounds a ratio of means by its residuals (Cochran 1977, section 6.4).

    With R = mean(a) / mean(b), the spread of R is that of the residuals a - R b, over mean(b). A
    prompt whose baseline is near zero, such as a still one, weighs little and divides nothing.
    """
    base = _of(rule.metric, pairs, accelerated=False)
    ours = _of(rule.metric, pairs, accelerated=True)
    scale = float(base.mean())
    if scale <= 0:
        ratio = low = high = 1.0 if float(ours.mean()) == scale else None
    else:
        ratio = float(ours.mean()) / scale
        residuals = (ours - ratio * base) / scale
        low = ratio + one_sided_lower(residuals, rng, profile.confidence)
        high = ratio - one_sided_lower(-residuals, rng, profile.confidence)
    n = base.size
    return (
        _to_ratio_check(rule.metric, ">=", (ratio, low, rule.low), n),
        _to_ratio_check(rule.metric, "<=", (ratio, high, rule.high), n),
    )


def _to_ratio_check(
    metric: str, rule: Comparison, numbers: tuple[float | None, float | None, float], n: int
) -> Check:
    value, bound, limit = numbers
    name = f"{metric}_ratio_{'min' if rule == '>=' else 'max'}"
    if value is None or bound is None:
        detail = f"the baseline has no {metric} at all, the accelerated videos do"
        return Check(name, False, None, None, limit, n, detail, rule)
    passed = bound >= limit if rule == ">=" else bound <= limit
    words = "at least" if rule == ">=" else "at most"
    detail = (
        f"ratio of means {value:.4g} over {n} prompts, bound {bound:.4g}, {words} {limit:g} needed"
    )
    return Check(name, passed, value, bound, limit, n, detail, rule)


def _of(metric: str, pairs: Sequence[PairRecord], *, accelerated: bool) -> Floats:
    sides = (pair.accelerated if accelerated else pair.baseline for pair in pairs)
    return _by_prompt(pairs, [side[metric] for side in sides])


def _by_prompt(pairs: Sequence[PairRecord], values: list[float]) -> Floats:
    return mean_by_unit([pair.prompt for pair in pairs], values)
