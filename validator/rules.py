"""How each kind of rule in a profile becomes checks on the recorded pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sol.measure.stats import Floats, mean_by_unit, one_sided_lower
from sol.validator.records import Comparison, PairRecord
from sol.validator.rule_kinds import Difference, Floor, Ratio, Rule, Tail, Worst
from sol.validator.verdict import Check

_FEWEST_PROMPTS = 2
_TAIL_DRAWS = 40
"""Resamples beyond the quantile that a bound rests on: with fewer it would be their extremes."""
_FEWEST_RESAMPLES = 4000


@dataclass(frozen=True)
class Strictness:
    """How sure a look must be.

    Attributes:
        confidence: Of one-sided bounds of means.
        allowed_failures: By share of a tail rule, the prompts that may fail, None for a share that
            so few prompts cannot show.
    """

    confidence: float
    allowed_failures: dict[float, int | None]

    @property
    def n_resamples(self) -> int:
        """Enough for the bootstrap to reach this far into its tail."""
        return max(_FEWEST_RESAMPLES, math.ceil(_TAIL_DRAWS / (1.0 - self.confidence)))


def check_rule(
    rule: Rule, strictness: Strictness, pairs: Sequence[PairRecord], rng: np.random.Generator
) -> tuple[Check, ...]:
    """One check, or two for a ratio: `<metric>_<kind>`, `<metric>_ratio_min` and `_max`.

    Metrics are averaged over the seeds of a prompt, and bounded over prompts. Anything missing or
    not finite fails the rule.
    """
    fault = _find_fault(rule, pairs)
    if fault:
        return (Check(f"{rule.metric}_{rule.kind}", False, None, None, None, 0, fault),)
    bound = _Bound(strictness, rng)
    if isinstance(rule, Worst):
        return (_check_worst(rule, pairs),)
    if isinstance(rule, Tail):
        return (_check_tail(rule, strictness, pairs),)
    if isinstance(rule, Floor):
        return (_check_mean(rule, values_by_prompt(rule, pairs), rule.margin, bound),)
    if isinstance(rule, Difference):
        return (_check_difference(rule, pairs, bound),)
    return _check_ratio(rule, pairs, bound)


def values_by_prompt(rule: Floor | Difference, pairs: Sequence[PairRecord]) -> Floats:
    """What the rule takes the mean of: a paired metric, or accelerated - baseline."""
    if isinstance(rule, Floor):
        return _by_prompt(pairs, [pair.paired[rule.metric] for pair in pairs])
    return _of(rule.metric, pairs, accelerated=True) - _of(rule.metric, pairs, accelerated=False)


@dataclass(frozen=True)
class _Bound:
    """The lower bound of a mean, as sure as a look must be."""

    strictness: Strictness
    rng: np.random.Generator

    def __call__(self, values: Floats) -> float:
        strict = self.strictness
        return one_sided_lower(values, self.rng, strict.confidence, strict.n_resamples)

    @property
    def name(self) -> str:
        return f"{self.strictness.confidence:.4g} lower bound"


def _find_fault(rule: Rule, pairs: Sequence[PairRecord]) -> str | None:
    """Why the rule cannot be computed, or None if it can."""
    n_prompts = len({pair.prompt for pair in pairs})
    if n_prompts < _FEWEST_PROMPTS:
        return f"{n_prompts} prompts recorded, a bound needs {_FEWEST_PROMPTS}"
    n_bad = sum(not _is_measured(rule, pair) for pair in pairs)
    return f"{n_bad} of {len(pairs)} pairs have no finite {rule.metric}" if n_bad else None


def _is_measured(rule: Rule, pair: PairRecord) -> bool:
    needs_pair = isinstance(rule, Floor | Worst | Tail)
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


def _check_tail(rule: Tail, strictness: Strictness, pairs: Sequence[PairRecord]) -> Check:
    """A prompt fails if any of its videos does."""
    failing = find_failing_prompts(rule, pairs)
    n = len({pair.prompt for pair in pairs})
    allowed = strictness.allowed_failures[rule.share]
    detail = f"{len(failing)} of {n} prompts fall below {rule.metric} {rule.floor:g}"
    if allowed is None:
        detail += f"; too few prompts to show that at most {rule.share:.0%} of all do"
    else:
        detail += f", at most {allowed} may"
    if failing:
        detail += f", first {failing[0]!r}"
    passed = allowed is not None and len(failing) <= allowed
    limit = None if allowed is None else float(allowed)
    count = float(len(failing))
    return Check(f"{rule.metric}_tail", passed, count, count, limit, n, detail, rule="<=")


def find_failing_prompts(rule: Tail, pairs: Sequence[PairRecord]) -> tuple[str, ...]:
    """The prompts of which a video falls below the floor, in order."""
    failing = (pair.prompt for pair in pairs if not pair.paired[rule.metric] >= rule.floor)
    return tuple(dict.fromkeys(failing))


def _check_difference(rule: Difference, pairs: Sequence[PairRecord], bound: _Bound) -> Check:
    values = values_by_prompt(rule, pairs)
    return _check_mean(rule, values, -rule.margin, bound, _arms(rule.metric, pairs))


def _check_mean(
    rule: Floor | Difference,
    values: Floats,
    limit: float,
    bound: _Bound,
    arms: tuple[float, float] | tuple[None, None] = (None, None),
) -> Check:
    mean, low = float(values.mean()), bound(values)
    detail = (
        f"mean {mean:.4g} over {values.size} prompts, {bound.name} {low:.4g}, "
        f"at least {limit:g} needed"
    )
    name = f"{rule.metric}_{rule.kind}"
    return Check(name, low >= limit, mean, low, limit, values.size, detail, ">=", *arms)


def _check_ratio(rule: Ratio, pairs: Sequence[PairRecord], bound: _Bound) -> tuple[Check, ...]:
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
        low, high = ratio + bound(residuals), ratio - bound(-residuals)
    sides: list[tuple[Comparison, float | None, float]] = [(">=", low, rule.low)]
    if rule.high is not None:
        sides.append(("<=", high, rule.high))
    return tuple(_to_ratio_check(rule.metric, side, ratio, pairs) for side in sides)


def _to_ratio_check(
    metric: str,
    side: tuple[Comparison, float | None, float],
    value: float | None,
    pairs: Sequence[PairRecord],
) -> Check:
    rule, bound, limit = side
    n = len({pair.prompt for pair in pairs})
    arms = _arms(metric, pairs)
    name = f"{metric}_ratio_{'min' if rule == '>=' else 'max'}"
    if value is None or bound is None:
        detail = f"the baseline has no {metric} at all, the accelerated videos do"
        return Check(name, False, None, None, limit, n, detail, rule, *arms)
    passed = bound >= limit if rule == ">=" else bound <= limit
    words = "at least" if rule == ">=" else "at most"
    detail = (
        f"ratio of means {value:.4g} over {n} prompts, bound {bound:.4g}, {words} {limit:g} needed"
    )
    return Check(name, passed, value, bound, limit, n, detail, rule, *arms)


def _arms(metric: str, pairs: Sequence[PairRecord]) -> tuple[float, float]:
    """Means over the prompts: baseline, accelerated."""
    base, ours = (_of(metric, pairs, accelerated=side).mean() for side in (False, True))
    return float(base), float(ours)


def _of(metric: str, pairs: Sequence[PairRecord], *, accelerated: bool) -> Floats:
    sides = (pair.accelerated if accelerated else pair.baseline for pair in pairs)
    return _by_prompt(pairs, [side[metric] for side in sides])


def _by_prompt(pairs: Sequence[PairRecord], values: list[float]) -> Floats:
    return mean_by_unit([pair.prompt for pair in pairs], values)
