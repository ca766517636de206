"""The gate: what one look at the evidence says, and the verdict. It rejects by default."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sol.validator.futility import find_hopeless
from sol.validator.looks import LookPlan
from sol.validator.profile import Profile
from sol.validator.records import PairRecord, Probe
from sol.validator.rules import check_rule, check_tail
from sol.validator.verdict import Backend, Check, Look, Outcome, StratumFinding, Verdict


@dataclass(frozen=True)
class Finding:
    """What one look, or the probes, say.

    Attributes:
        outcome: "undecided" where more prompts could still decide.
    """

    outcome: Outcome
    checks: tuple[Check, ...]
    reason: str = ""


def check_probes(profile: Profile, probes: Sequence[Probe]) -> Finding:
    """Holds the probes against what the profile asks for; one that is missing fails.

    Args:
        probes: Findings about the stack as a whole; one that failed rejects even if the profile
            does not ask for it.
    """
    given = {probe.name for probe in probes}
    missing = [name for name in profile.probes if name not in given]
    checks = [
        *(Check(name, False, None, None, None, 0, "not probed") for name in missing),
        *(_to_check(probe) for probe in probes),
    ]
    staged = tuple(replace(check, stage="probes") for check in checks)
    reasons = find_reasons(staged)
    return Finding("rejected" if reasons else "accepted", staged, "; ".join(reasons))


def look(
    profile: Profile,
    backend: Backend,
    plan: LookPlan,
    pairs: Sequence[PairRecord],
    rng: np.random.Generator,
    failures: Sequence[str] = (),
) -> Finding:
    """Holds the pairs so far against every rule.

    All checks must pass (an intersection-union test, so each may use the full error of the look).
    What is missing, repeated or not finite fails; nothing is assumed in a stack's favour.

    Args:
        plan: Which look it is, and how sure it must be.
        pairs: Every prompt and seed so far, made by both sides.
        rng: Draws the bootstrap resamples.
        failures: Why others could not be made.
    """
    rules = profile.rules(backend)
    evidence = (
        _check_made(pairs, failures),
        _check_coverage(plan, profile.seeds, pairs),
        _check_sanity(pairs),
    )
    checks = tuple(
        replace(check, stage=plan.phase)
        for check in (
            *evidence,
            *check_tail(rules, plan.strictness, pairs),
            *(c for rule in rules for c in check_rule(rule, plan.strictness, pairs, rng)),
        )
    )
    reasons = find_reasons(checks)
    if not reasons:
        return Finding("accepted", checks)
    is_broken = any(check.value is None for check in checks)
    if plan.is_last or is_broken or not all(check.passed for check in evidence):
        return Finding("rejected", checks, "; ".join(reasons))
    hopeless = find_hopeless(rules, plan, pairs, profile.confirmation.futility)
    return Finding("rejected" if hopeless else "undecided", checks, hopeless or "")


def check_made(
    pairs: Sequence[PairRecord], failures: Sequence[str], stage: str
) -> tuple[Check, ...]:
    """That further pairs could all be made, and are sound: `further_videos`, `further_sanity`."""
    made = replace(_check_made(pairs, failures), name="further_videos", stage=stage)
    return made, replace(_check_sanity(pairs), name="further_sanity", stage=stage)


def find_reasons(checks: Sequence[Check]) -> tuple[str, ...]:
    """One sentence for each check that failed."""
    return tuple(f"{check.name}: {check.detail}" for check in checks if not check.passed)


def make_verdict(
    profile: Profile,
    backend: Backend,
    findings: Sequence[Finding],
    looks: Sequence[Look],
    strata: Sequence[StratumFinding] = (),
) -> Verdict:
    """The verdict of the last finding, with the checks of all; no finding at all rejects."""
    last = findings[-1] if findings else Finding("rejected", (), "nothing was looked at")
    is_accepted = last.outcome == "accepted"
    failed = find_reasons(last.checks)
    stages = [check.stage for finding in findings for check in finding.checks]
    return Verdict(
        verdict="accepted" if is_accepted else "rejected",
        backend=backend,
        profile=profile.name,
        profile_digest=profile.digest,
        checks=tuple(check for finding in findings for check in finding.checks),
        reasons=() if is_accepted else failed or (last.reason,),
        stage=stages[-1] if stages else "probes",
        looks=tuple(looks),
        strata=tuple(strata),
    )


def _check_made(pairs: Sequence[PairRecord], failures: Sequence[str]) -> Check:
    n, n_failed = len(pairs) + len(failures), float(len(failures))
    detail = f"{len(failures)} of {n} pairs could not be made or measured"
    if failures:
        detail += f", first: {failures[0]}"
    return Check("videos", not failures, n_failed, n_failed, 0.0, n, detail, rule="<=")


def _check_coverage(plan: LookPlan, n_seeds: int, pairs: Sequence[PairRecord]) -> Check:
    """Enough prompts with enough seeds each, none of them twice."""
    counts = Counter((pair.prompt, pair.seed) for pair in pairs)
    seeds_by_prompt = Counter(prompt for prompt, _ in counts)
    n_complete = sum(n >= n_seeds for n in seeds_by_prompt.values())
    n_repeated = sum(n > 1 for n in counts.values())
    detail = f"{n_complete} prompts with {n_seeds} seeds or more, {plan.n_prompts} needed"
    if n_repeated:
        detail = f"{n_repeated} prompt and seed pairs are recorded twice"
    passed = n_complete >= plan.n_prompts and not n_repeated
    value = float(n_complete)
    return Check("coverage", passed, value, value, float(plan.n_prompts), len(pairs), detail)


def _check_sanity(pairs: Sequence[PairRecord]) -> Check:
    bad = [pair for pair in pairs if pair.problems]
    detail = f"{len(bad)} of {len(pairs)} pairs have a problem"
    if bad:
        first = bad[0]
        detail += f", first {first.prompt!r} seed {first.seed}: {'; '.join(first.problems)}"
    passed = bool(pairs) and not bad
    n_bad = float(len(bad))
    return Check("sanity", passed, n_bad, n_bad, 0.0, len(pairs), detail, rule="<=")


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
