"""Whether a stack can still pass: what cannot be accepted any more is not worth further videos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from sol.measure.stats import Floats, mean_by_unit
from sol.validator.looks import LookPlan
from sol.validator.records import PairRecord
from sol.validator.rule_kinds import Difference, Floor, Ratio, Rule, Tail, Worst
from sol.validator.rules import find_failing_prompts, values_by_prompt

_NORMAL = NormalDist()


def find_hopeless(
    rules: Sequence[Rule], plan: LookPlan, pairs: Sequence[PairRecord], futility: float
) -> str | None:
    """Why it is no use to go on, or None.

    Stopping early for this reason can only lower the chance to accept, so the error of the other
    looks stands as it is (the futility bound is not binding).

    Args:
        pairs: All finite in what the rules look at.
        futility: The least chance to pass at the last look, if all goes on as it went so far.
    """
    for rule in rules:
        reason = _find_certain(rule, plan, pairs) or _find_unlikely(rule, plan, pairs, futility)
        if reason:
            return reason
    return None


def conditional_power(slack: Floats, share: float, level: float) -> float:
    """The chance that the last look shows a mean above 0, if the trend goes on.

    With Z the mean over its standard error and t the share of the evidence that is there, it is
    Phi((Z / sqrt(t) - z) / sqrt(1 - t)) (Lan and Wittes, Biometrics 1988).

    Args:
        slack: (prompts,), what each has beyond the limit.
        share: t, in (0, 1).
        level: One-sided, of the last look; z is its normal quantile.
    """
    mean, error = float(slack.mean()), float(slack.std(ddof=1)) / math.sqrt(slack.size)
    if error == 0.0:
        return 1.0 if mean >= 0 else 0.0
    z = _NORMAL.inv_cdf(1.0 - level)
    return _NORMAL.cdf((mean / error / math.sqrt(share) - z) / math.sqrt(1.0 - share))


def _find_certain(rule: Rule, plan: LookPlan, pairs: Sequence[PairRecord]) -> str | None:
    """A rule that no further prompt can mend."""
    if isinstance(rule, Worst):
        lowest = min(pair.paired[rule.metric] for pair in pairs)
        if not lowest >= rule.margin:
            return (
                f"{rule.metric}_worst: a video has {lowest:.4g}, at least {rule.margin:g} needed"
            )
    if isinstance(rule, Tail):
        allowed = plan.final.allowed_failures[rule.share]
        n_failing = len(find_failing_prompts(rule, pairs))
        if allowed is None or n_failing > allowed:
            return f"{rule.metric}_tail: {n_failing} prompts fall below {rule.floor:g} already"
    return None


def _find_unlikely(
    rule: Rule, plan: LookPlan, pairs: Sequence[PairRecord], futility: float
) -> str | None:
    level = 1.0 - plan.final.confidence
    for side, slack in _slacks(rule, pairs).items():
        power = conditional_power(slack, plan.share, level)
        if power < futility:
            return f"{side}: a chance of {power:.1%} to pass at the last look"
    return None


def _slacks(rule: Rule, pairs: Sequence[PairRecord]) -> dict[str, Floats]:
    """By check, what each prompt has beyond the limit: of a rule on means, the mean must be > 0."""
    if isinstance(rule, Floor):
        return {f"{rule.metric}_floor": values_by_prompt(rule, pairs) - rule.margin}
    if isinstance(rule, Difference):
        return {f"{rule.metric}_difference": values_by_prompt(rule, pairs) + rule.margin}
    if isinstance(rule, Ratio):
        return _ratio_slacks(rule, pairs)
    return {}


def _ratio_slacks(rule: Ratio, pairs: Sequence[PairRecord]) -> dict[str, Floats]:
    prompts = [pair.prompt for pair in pairs]
    base = mean_by_unit(prompts, [pair.baseline[rule.metric] for pair in pairs])
    ours = mean_by_unit(prompts, [pair.accelerated[rule.metric] for pair in pairs])
    scale = max(float(np.mean(base)), 1e-12)
    slacks = {f"{rule.metric}_ratio_min": (ours - rule.low * base) / scale}
    if rule.high is not None:
        slacks[f"{rule.metric}_ratio_max"] = (rule.high * base - ours) / scale
    return slacks
