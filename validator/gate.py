"""The gate: rejects by default, accepts what passes every check of a profile."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from sol.validator.profile import Profile
from sol.validator.records import PairRecord, Probe
from sol.validator.rules import check_rule
from sol.validator.verdict import Check, Verdict


def decide(
    profile: Profile,
    pairs: Sequence[PairRecord],
    probes: Sequence[Probe],
    rng: np.random.Generator,
) -> Verdict:
    """Holds the evidence against the profile.

    All checks must pass (an intersection-union test, so each may use the full error level). What
    is missing, repeated or not finite fails; nothing is assumed in a stack's favour.

    Args:
        pairs: Every held-out prompt and seed, made by both sides.
        probes: Findings about the stack as a whole; one that failed rejects even if the profile
            does not ask for it.
        rng: Draws the bootstrap resamples.
    """
    checks = [
        _check_coverage(profile, pairs),
        _check_sanity(pairs),
        *_check_probes(profile, probes),
        *(check for rule in profile.metrics for check in check_rule(rule, profile, pairs, rng)),
    ]
    reasons = tuple(f"{check.name}: {check.detail}" for check in checks if not check.passed)
    return Verdict(
        verdict="rejected" if reasons else "accepted",
        backend="embedded",
        profile=profile.name,
        profile_digest=profile.digest,
        checks=tuple(checks),
        reasons=reasons,
    )


def _check_coverage(profile: Profile, pairs: Sequence[PairRecord]) -> Check:
    """Enough prompts with enough seeds each, none of them twice."""
    counts = Counter((pair.prompt, pair.seed) for pair in pairs)
    seeds_by_prompt = Counter(prompt for prompt, _ in counts)
    n_complete = sum(n >= profile.n_seeds for n in seeds_by_prompt.values())
    n_repeated = sum(n > 1 for n in counts.values())
    detail = (
        f"{n_complete} prompts with {profile.n_seeds} seeds or more, {profile.n_prompts} needed"
    )
    if n_repeated:
        detail = f"{n_repeated} prompt and seed pairs are recorded twice"
    passed = n_complete >= profile.n_prompts and not n_repeated
    value = float(n_complete)
    return Check("coverage", passed, value, value, float(profile.n_prompts), len(pairs), detail)


def _check_sanity(pairs: Sequence[PairRecord]) -> Check:
    bad = [pair for pair in pairs if pair.problems]
    detail = f"{len(bad)} of {len(pairs)} pairs have a problem"
    if bad:
        first = bad[0]
        detail += f", first {first.prompt!r} seed {first.seed}: {'; '.join(first.problems)}"
    passed = bool(pairs) and not bad
    n_bad = float(len(bad))
    return Check("sanity", passed, n_bad, n_bad, 0.0, len(pairs), detail, rule="<=")


def _check_probes(profile: Profile, probes: Sequence[Probe]) -> list[Check]:
    given = {probe.name for probe in probes}
    missing = [name for name in profile.probes if name not in given]
    return [
        *(Check(name, False, None, None, None, 0, "not probed") for name in missing),
        *(_to_check(probe) for probe in probes),
    ]


def _to_check(probe: Probe) -> Check:
    """The probe's own finding, unless it rests on no run or on a number that is not one."""
    fault = _find_fault(probe)
    return Check(
        name=probe.name,
        passed=probe.passed and fault is None,
        value=None if fault else probe.value,
        bound=None if fault else probe.value,
        margin=None if fault else probe.bound,
        n=probe.n,
        detail=f"{fault}: {probe.detail}" if fault else probe.detail,
        rule=probe.rule,
    )


def _find_fault(probe: Probe) -> str | None:
    if probe.n < 1:
        return "rests on no run"
    for name, number in (("value", probe.value), ("bound", probe.bound)):
        if number is not None and not math.isfinite(number):
            return f"its {name} is {number}"
    return None
