"""How each kind of rule in a profile becomes checks on the recorded pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sol.measure.stats import Floats, mean_by_unit, one_sided_lower, t_lower
from sol.validator.records import Comparison, PairRecord
from sol.validator.rule_kinds import Difference, Floor, Ratio, Rule
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
        allowed_failures: Prompts that may fall beyond a worst limit; None where there are too few
            prompts to show that few enough of all do.
        counts_worst: Whether a bound counts one prompt more than there are, at the worst limit.
    """

    confidence: float
    allowed_failures: int | None
    counts_worst: bool = False

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
    if isinstance(rule, Floor):
        return (_check_mean(rule, values_by_prompt(rule, pairs), rule.margin, bound),)
    if isinstance(rule, Difference):
        return (_check_difference(rule, pairs, bound),)
    return _check_ratio(rule, pairs, bound)


def limit_of(rule: Floor | Difference) -> float:
    """What the mean of `values_by_prompt` must reach."""
    return rule.margin if isinstance(rule, Floor) else -rule.margin


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

    def __call__(self, values: Floats, worst: float | None = None) -> float:
        """The lower of two: by the prompts that there are, and with one more at the worst limit.

        Where none has collapsed yet, the spread of a sample says nothing of those that will. One
        collapse in 20 prompts, with the mean at the margin, was accepted five times as often as
        the confidence allows, until one was counted that had not been seen. That one is far out,
        where a bootstrap's few values say nothing: it takes Student's t.
        """
        strict = self.strictness
        bound = one_sided_lower(values, self.rng, strict.confidence, strict.n_resamples)
        if worst is None or not strict.counts_worst:
            return bound
        return min(bound, t_lower(np.append(values, worst), strict.confidence))

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
    needs_pair = isinstance(rule, Floor)
    sources = (pair.paired,) if needs_pair else (pair.baseline, pair.accelerated)
    return all(math.isfinite(source.get(rule.metric, math.nan)) for source in sources)


def check_tail(
    rules: Sequence[Rule], strictness: Strictness, pairs: Sequence[PairRecord]
) -> tuple[Check, ...]:
    """Counts the prompts beyond the worst limit of any rule; no check without such a limit."""
    if not any(_worst(rule) is not None for rule in rules):
        return ()
    failing = find_failing_prompts(rules, pairs)
    n, allowed = len({pair.prompt for pair in pairs}), strictness.allowed_failures
    detail = f"{len(failing)} of {n} prompts fall beyond a worst limit"
    if allowed is None:
        detail += ", and so few prompts cannot show that few enough of all do"
    else:
        detail += f", at most {allowed} may"
    if failing:
        prompt, reason = next(iter(failing.items()))
        detail += f"; first {prompt!r}: {reason}"
    passed = allowed is not None and len(failing) <= allowed
    limit = None if allowed is None else float(allowed)
    count = float(len(failing))
    return (Check("tail", passed, count, count, limit, n, detail, rule="<="),)


def find_failing_prompts(rules: Sequence[Rule], pairs: Sequence[PairRecord]) -> Mapping[str, str]:
    """The prompts that fall beyond a worst limit, each with the first such rule."""
    failing: dict[str, str] = {}
    for rule in rules:
        if isinstance(rule, Ratio) or (limit := _worst(rule)) is None:
            continue
        measured = [pair for pair in pairs if _is_measured(rule, pair)]
        prompts = dict.fromkeys(pair.prompt for pair in measured)
        for prompt, value in zip(prompts, values_by_prompt(rule, measured), strict=True):
            if not value >= limit:
                failing.setdefault(prompt, f"{rule.metric} {value:.4g}, {limit:g} at worst")
    return failing


def _worst(rule: Rule) -> float | None:
    """In the unit of the rule's values by prompt."""
    if isinstance(rule, Ratio) or rule.worst is None:
        return None
    return rule.worst if isinstance(rule, Floor) else -rule.worst


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
    mean, low = float(values.mean()), bound(values, _worst(rule))
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
