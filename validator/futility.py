"""Whether a stack can still pass: what cannot be accepted any more is not worth further videos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from sol.measure.stats import Floats, mean_by_unit
from sol.validator.looks import LookPlan
from sol.validator.records import PairRecord
from sol.validator.rule_kinds import Ratio, Rule
from sol.validator.rules import find_failing_prompts, limit_of, values_by_prompt

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
    unlikely = (_find_unlikely(rule, plan, pairs, futility) for rule in rules)
    return _find_certain(rules, plan, pairs) or next(filter(None, unlikely), None)


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


def _find_certain(
    rules: Sequence[Rule], plan: LookPlan, pairs: Sequence[PairRecord]
) -> str | None:
    """More prompts have fallen beyond a worst limit than any look allows."""
    allowed, failing = plan.final.allowed_failures, find_failing_prompts(rules, pairs)
    if not failing or (allowed is not None and len(failing) <= allowed):
        return None
    prompt, reason = next(iter(failing.items()))
    return f"tail: {len(failing)} prompts beyond a worst limit already, first {prompt!r}: {reason}"


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
    """By check, what each prompt has beyond the limit; the mean of it must be above 0."""
    if isinstance(rule, Ratio):
        return _ratio_slacks(rule, pairs)
    return {f"{rule.metric}_{rule.kind}": values_by_prompt(rule, pairs) - limit_of(rule)}


def _ratio_slacks(rule: Ratio, pairs: Sequence[PairRecord]) -> dict[str, Floats]:
    prompts = [pair.prompt for pair in pairs]
    base = mean_by_unit(prompts, [pair.baseline[rule.metric] for pair in pairs])
    ours = mean_by_unit(prompts, [pair.accelerated[rule.metric] for pair in pairs])
    scale = max(float(np.mean(base)), 1e-12)
    slacks = {f"{rule.metric}_ratio_min": (ours - rule.low * base) / scale}
    if rule.high is not None:
        slacks[f"{rule.metric}_ratio_max"] = (rule.high * base - ours) / scale
    return slacks
