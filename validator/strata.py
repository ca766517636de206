"""The kinds of prompts by themselves: a loss in one must not drown in the mean of all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sol.measure.stats import Floats
from sol.validator.profile import Profile
from sol.validator.records import PairRecord
from sol.validator.rule_kinds import Difference, Floor, Rule
from sol.validator.rules import Strictness, check_rule, limit_of, values_by_prompt
from sol.validator.verdict import Check, StratumFinding

_FEWEST_PROMPTS = 2
_StratumRule = Difference | Floor


def check_strata(
    profile: Profile, pairs: Sequence[PairRecord], rng: np.random.Generator
) -> tuple[tuple[Check, ...], tuple[StratumFinding, ...]]:
    """Every rule that has a stratum limit, in every stratum, as sure as the screening is.

    It comes on top of what is held over all prompts, where the error is accounted for.

    Returns:
        A check `<metric>_<kind>_<stratum>` each; and of every stratum the rule that stands nearest
        to its limit, the worst stratum first.
    """
    rules = [rule for rule in map(_widen, profile.metrics) if rule is not None]
    strictness = Strictness(profile.screening.confidence, None)
    checks: list[Check] = []
    nearest: list[tuple[float, StratumFinding]] = []
    for stratum, own in _by_stratum(pairs).items():
        held = [
            (_distance(rule, own), rule, check_rule(rule, strictness, own, rng)[0])
            for rule in rules
        ]
        checks += [replace(c, name=f"{c.name}_{stratum}") for _, _, c in held]
        if held:
            distance, rule, check = min(held, key=lambda item: item[0])
            nearest.append((distance, _to_finding(stratum, rule, check)))
    nearest.sort(key=lambda item: item[0])
    return tuple(checks), tuple(finding for _, finding in nearest)


def _widen(rule: Rule) -> _StratumRule | None:
    """The rule at its stratum limit; None where it has none."""
    if not isinstance(rule, Difference | Floor) or rule.stratum is None:
        return None
    return replace(rule, margin=rule.stratum)


def _by_stratum(pairs: Sequence[PairRecord]) -> dict[str, list[PairRecord]]:
    groups: dict[str, list[PairRecord]] = {}
    for pair in pairs:
        groups.setdefault(pair.stratum, []).append(pair)
    return groups


def _distance(rule: _StratumRule, pairs: Sequence[PairRecord]) -> float:
    """Standard errors between the mean and the limit; less than none if it cannot be measured."""
    if len({pair.prompt for pair in pairs}) < _FEWEST_PROMPTS:
        return -math.inf
    slack: Floats = values_by_prompt(rule, pairs) - limit_of(rule)
    mean, error = float(slack.mean()), float(slack.std(ddof=1)) / math.sqrt(slack.size)
    if error == 0.0:
        return math.copysign(math.inf, mean)
    return mean / error


def _to_finding(stratum: str, rule: _StratumRule, check: Check) -> StratumFinding:
    return StratumFinding(stratum, check.n, rule.metric, check.value, check.bound, limit_of(rule))
