"""What one run was asked to do, and what it found out about its target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.diagnosis import Diagnosis
from sol.search.budget import Budget
from sol.search.crew import Crew
from sol.search.executors.base import Executor
from sol.search.journal import Journal
from sol.search.ledger import Ledger
from sol.search.records import QualityFloor, Speed, WorkerInfo
from sol.search.spent import SpentTime
from sol.search.trial_store import TrialStore
from sol.search.worker import Pair
from sol.stages.evidence import VideoScorer
from sol.stages.gate import Gate
from sol.target import Target
from sol.validator.profile import Profile
from sol.validator.rule_kinds import Floor


@dataclass(frozen=True)
class TuneRequest:
    """One call of `sol tune`.

    Attributes:
        overrides: Workload fields that replace the model's defaults.
        skills: The skills to search.
        seed: Of the search; the same seed on the same measurements takes the same decisions.
        folder: The run's own, already made.
        scorer: Of finished videos, where the back-end is VBench.
        store: Keeps the trials on disk; None where none are kept.
        spent: The search time that earlier starts of this run have used.
        ledger: What was measured by earlier starts of this run.
    """

    model: str
    device: str | None
    dtype: str | None
    overrides: Mapping[str, Any]
    budget: Budget
    profile: Profile
    skills: tuple[str, ...]
    seed: int
    folder: Path
    scorer: VideoScorer | None = None
    store: TrialStore | None = None
    spent: SpentTime | None = None
    ledger: Ledger | None = None


@dataclass(frozen=True)
class Session:
    """A run whose workers have loaded the target and whose baseline is frozen.

    Attributes:
        calibration: Pairs that the search measures on.
        gate: Judges stacks on prompts that agents never see.
        self_timing: The baseline timed against itself: what a speed-up of nothing looks like.
        further: Pairs beside the calibration's, for stacks that are to go to the gate.
    """

    request: TuneRequest
    executor: Executor
    crew: Crew
    journal: Journal
    infos: tuple[WorkerInfo, ...]
    target: Target
    calibration: tuple[Pair, ...]
    gate: Gate
    diagnosis: Diagnosis
    self_timing: Speed
    further: tuple[Pair, ...] = ()

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the packages that made and judged the videos, and digests of a scorer's weights."""
        scorer = self.gate.setting.scorer
        return {**self.infos[0].versions, **({} if scorer is None else scorer.sources)}

    @property
    def noise(self) -> float:
        """How far from 1 the speed-up of nothing reads: a gain must be beyond it."""
        return max(self.self_timing.high - 1, 0.0)

    @property
    def floor(self) -> QualityFloor:
        """The gate's floors on PSNR, which the search aims at on its own prompts."""
        psnr = [
            rule
            for rule in self.request.profile.metrics
            if isinstance(rule, Floor) and rule.metric == "psnr"
        ]
        return QualityFloor(
            psnr=max((rule.margin for rule in psnr), default=0.0),
            worst_psnr=max((rule.worst for rule in psnr if rule.worst is not None), default=0.0),
        )
