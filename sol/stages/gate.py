"""The gate's stages, cheap first: mechanics, guidance, screening, confirmation."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sol.errors import SolError
from sol.search.altered import Altered
from sol.search.crew import Crew
from sol.search.worker import Pair
from sol.stages.evidence import Evidence, GateSetting
from sol.stages.gate_prompts import (
    GatePair,
    confirmation_pairs,
    extra_pairs,
    screening_pairs,
)
from sol.stages.guidance import probe_guidance
from sol.stages.mechanics import probe_mechanics
from sol.technique import Stack
from sol.validator.gate import (
    Finding,
    check_made,
    check_probes,
    find_reasons,
    look,
    make_verdict,
)
from sol.validator.kept_videos import FOLDER, KeptPair
from sol.validator.looks import LookPlan, plan_confirmation, plan_screening
from sol.validator.profile import Profile, without_mechanics
from sol.validator.records import PairRecord, Probe
from sol.validator.strata import check_strata
from sol.validator.verdict import Check, Look, Outcome, StratumFinding, Verdict

_DECISION_SEED = 0
Hear = Callable[[Look], None]


@dataclass(frozen=True)
class GateResult:
    """The verdict and what is behind it.

    Attributes:
        pairs: Records of the stage at which it was decided.
        engagement: What each technique counted.
        kept: The pairs whose videos are on disk.
    """

    verdict: Verdict
    pairs: tuple[PairRecord, ...] = ()
    engagement: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    kept: tuple[KeptPair, ...] = ()


@dataclass
class Gate:
    """Judges the stacks of a run, one after the other, by a profile that nothing can change.

    Attributes:
        hear: Is told of every look.
        n_confirmed: Stacks that were held against the held-out prompts.
        n_accepted: Those of them that were accepted.
    """

    crew: Crew
    setting: GateSetting
    hear: Hear = lambda _: None
    n_confirmed: int = 0
    n_accepted: int = 0
    _n_judged: int = 0

    def judge(self, arm: Stack | Altered) -> GateResult:
        """All stages until one rejects; whatever fails on the way is a failed check."""
        self._n_judged += 1
        evidence = Evidence(self.crew, self.setting, arm, f"stack-{self._n_judged}")
        trial = _Trial(self, evidence)
        trial.run()
        if trial.is_accepted:
            self.n_accepted += 1
        result = GateResult(
            trial.verdict(), trial.decisive_pairs, evidence.engagement, evidence.kept()
        )
        self._forget_the_one_before(result.verdict)
        return result

    @property
    def first_pair(self) -> Pair:
        """A prompt and seed that the search never saw."""
        return screening_pairs(self.setting.profile, self.setting.prompts)[0].pair

    @property
    def can_confirm(self) -> bool:
        """Whether the profile allows a further stack of this run to be confirmed."""
        return self.n_confirmed < self.setting.profile.confirmation.candidates

    def _forget_the_one_before(self, verdict: Verdict) -> None:
        """Keeps the videos of the last accepted stack; until one is, of the last.

        A run that is resumed judges once more what it judged: videos of later stacks stay.
        """
        stays = verdict.is_accepted or self.n_accepted == 0
        for path in (self.setting.folder / FOLDER).glob("stack-*"):
            number = int(path.name.removeprefix("stack-"))
            is_replaced = number < self._n_judged if stays else number == self._n_judged
            if is_replaced:
                shutil.rmtree(path)


@dataclass
class _Trial:
    """One stack at the gate."""

    gate: Gate
    evidence: Evidence
    findings: list[Finding] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    strata: tuple[StratumFinding, ...] = ()
    decisive_pairs: tuple[PairRecord, ...] = ()
    profile: Profile = field(init=False)
    screening: tuple[GatePair, ...] = field(init=False)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        setting = self.gate.setting
        is_planted = isinstance(self.evidence.arm, Altered)
        self.profile = without_mechanics(setting.profile) if is_planted else setting.profile
        self.screening = screening_pairs(self.profile, setting.prompts)
        self.rng = np.random.default_rng(_DECISION_SEED)

    @property
    def is_accepted(self) -> bool:
        return bool(self.findings) and self.findings[-1].outcome == "accepted"

    def run(self) -> None:
        for stage in (self._probe, self._screen, self._confirm):
            stage()
            if not self.is_accepted:
                return

    def verdict(self) -> Verdict:
        backend = self.gate.setting.backend
        return make_verdict(self.profile, backend, self.findings, self.looks, self.strata)

    def _probe(self) -> None:
        arm, crew = self.evidence.arm, self.gate.crew
        probes: list[Probe] = []
        if not isinstance(arm, Altered):
            probes += [self._engagement()]
            probes += probe_mechanics(crew, arm, self.screening[0].pair, self.screening[-1].pair)
        pairs = [pair.pair for pair in self.screening]
        probes += probe_guidance(crew, arm, self.profile.guidance, pairs)
        self.findings.append(check_probes(self.profile, probes))

    def _engagement(self) -> Probe:
        """In the first video; every later one must engage as well, or it counts as not made."""
        first = self.screening[:1]
        self.evidence.gather(first)
        failed = self.evidence.failures(first)
        detail = failed[0] if failed else "every technique engaged"
        return Probe("engagement", not failed, float(len(failed)), 0.0, 1, detail)

    def _screen(self) -> None:
        plan = plan_screening(self.profile)
        finding = self._look(plan, self.screening)
        self._tell(plan, finding)
        self.findings.append(finding)

    def _confirm(self) -> None:
        gate = self.gate
        if not gate.can_confirm:
            self.findings.append(_used_up(gate.n_confirmed))
            return
        plans = plan_confirmation(self.profile, gate.n_accepted)
        gate.n_confirmed += 1
        pairs = confirmation_pairs(self.profile, gate.setting.prompts)
        for plan in plans:
            finding = self._look(plan, pairs[: plan.n_prompts * self.profile.seeds])
            if finding.outcome == "accepted":
                finding = self._look_at_strata(finding, plan, pairs)
            self._tell(plan, finding)
            if finding.outcome != "undecided":
                break
        self.findings.append(finding)

    def _look(self, plan: LookPlan, pairs: Sequence[GatePair]) -> Finding:
        """Embedded metrics first; VBench only for what passed them."""
        records = self.evidence.gather(pairs)
        failures = self.evidence.failures(pairs)
        finding = look(self.profile, "embedded", plan, records, self.rng, failures)
        if finding.outcome == "accepted" and self.gate.setting.scorer is not None:
            finding, records = self._look_with_vbench(plan, pairs, finding)
        self.decisive_pairs = records
        return finding

    def _tell(self, plan: LookPlan, finding: Finding) -> None:
        entry = Look(
            plan.phase, plan.n_prompts, plan.strictness.confidence, finding.outcome, finding.reason
        )
        self.looks.append(entry)
        self.gate.hear(entry)

    def _look_with_vbench(
        self, plan: LookPlan, pairs: Sequence[GatePair], embedded: Finding
    ) -> tuple[Finding, tuple[PairRecord, ...]]:
        scorer = self.gate.setting.scorer
        assert scorer is not None
        try:
            self.evidence.score(pairs, scorer)
        except SolError as error:
            return _add_failure(embedded, plan, str(error)), self.evidence.records(pairs)
        records = self.evidence.records(pairs)
        return look(self.profile, "vbench", plan, records, self.rng), records

    def _look_at_strata(
        self, finding: Finding, plan: LookPlan, pairs: Sequence[GatePair]
    ) -> Finding:
        """More effort where the drift is largest: further prompts of the worst stratum."""
        seen = pairs[: plan.n_prompts * self.profile.seeds]
        _, strata = self._check_strata(seen)
        if strata and self.profile.confirmation.extra:
            prompts = self.gate.setting.prompts
            seen = (*seen, *extra_pairs(self.profile, prompts, strata[0].stratum))
            self.evidence.gather(seen)
        checks, self.strata = self._check_strata(seen)
        made = check_made(self.evidence.records(seen), self.evidence.failures(seen), plan.phase)
        checks = (*made, *checks)
        reasons = find_reasons(checks)
        if not reasons:
            return replace(finding, checks=(*finding.checks, *checks))
        can_mend = not plan.is_last and all(check.passed for check in made)
        outcome: Outcome = "undecided" if can_mend else "rejected"
        return Finding(outcome, (*finding.checks, *checks), "; ".join(reasons))

    def _check_strata(
        self, pairs: Sequence[GatePair]
    ) -> tuple[tuple[Check, ...], tuple[StratumFinding, ...]]:
        return check_strata(self.profile, self.evidence.records(pairs), self.rng)


def _used_up(n_confirmed: int) -> Finding:
    detail = (
        f"{n_confirmed} stacks of this run were held against the held-out prompts, as many as the "
        "profile allows: the error that is left for a further one is none"
    )
    check = Check("candidates", False, None, None, None, 0, detail, stage="confirmation")
    return Finding("rejected", (check,), detail)


def _add_failure(finding: Finding, plan: LookPlan, reason: str) -> Finding:
    check = Check("vbench", False, None, None, None, 0, reason, stage=plan.phase)
    return Finding("rejected", (*finding.checks, check), f"vbench: {reason}")
