"""What a run report says, as frozen data; the page is a rendering of it and of nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sol.diagnosis import Settling
from sol.measure.stats import Interval
from sol.target import Target
from sol.validator.report.agreement import Agreement, compare_guesses
from sol.validator.report.pareto import find_pareto_set
from sol.validator.report.sparsity import SparsityReport
from sol.validator.report.stack import StackReport

SCHEMA = "sol.report/1"


@dataclass(frozen=True)
class AgentReport:
    """What one skill's agent tried and kept, and how it ended.

    Attributes:
        edges: For each technique of which a setting failed: how near to it another one held.
    """

    skill: str
    trials: int
    kept: int
    status: str
    note: str = ""
    edges: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """One measured setting. `psnr` is in dB; both numbers are None where the trial failed."""

    skill: str
    technique: str
    label: str
    speedup: float | None
    psnr: float | None
    status: str
    reason: str = ""
    in_winner: bool = False


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of weights and of the peak while one video is made; None where it is not known.

    Attributes:
        kept_bytes: Weights that are not in use, and kept for undo.
    """

    weights_bytes: int | None
    peak_bytes: int | None
    kept_bytes: int | None = None


@dataclass(frozen=True)
class StartCost:
    """What the accepted stack costs once, in a process of its own with empty compile caches.

    Attributes:
        install_s: Seconds of installing it.
        first_extra_s: Seconds of the first video beyond a later one.
        break_even: The number of videos after which both are paid for; None for never.
    """

    install_s: float
    first_extra_s: float
    break_even: int | None


@dataclass(frozen=True)
class PairPoint:
    """One prompt and seed of the judged stack.

    Attributes:
        stratum: The kind of its prompt, "" where there are none.
        metrics: Paired metrics by name.
    """

    prompt: str
    seed: int
    stratum: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Clip:
    """A pair to look at; its frames are given to the page by `id`.

    Attributes:
        reasons: In what it is worst, such as "lowest ssim, 0.902".
        storage: How the page shows the pixels, or why it cannot.
    """

    id: str
    prompt: str
    seed: int
    stratum: str
    reasons: tuple[str, ...]
    metrics: Mapping[str, float]
    fps: float
    storage: str


@dataclass(frozen=True)
class Contribution:
    """What one member adds to a stack, measured by leaving it out.

    Attributes:
        speedup_without: Of the others over the baseline; None where they could not be measured.
        adds: Speed-up of the whole stack over that; with both intervals in it.
        is_noise: Whether what it adds cannot be told from nothing.
        psnr_without: dB of the others on the calibration pairs.
        psnr_with: dB of the whole stack on the same pairs.
        reason: Why it could not be measured, or why it was removed.
        removed: Whether the stack went on without it.
        speedup_with: Of the whole stack over the baseline.
        stack: Label of that stack; "" for the accepted one.
    """

    technique: str
    speedup_without: Interval | None = None
    adds: Interval | None = None
    is_noise: bool = False
    psnr_without: float | None = None
    psnr_with: float | None = None
    reason: str = ""
    removed: bool = False
    speedup_with: Interval | None = None
    stack: str = ""


@dataclass(frozen=True)
class TimeShare:
    """Seconds of one baseline video in parts of one role; roles do not overlap."""

    role: str
    seconds: float


@dataclass(frozen=True)
class SkillBound:
    """The most that a skill can gain here, as a speed-up end to end, and why."""

    skill: str
    bound: float
    argument: str


@dataclass(frozen=True)
class NotTried:
    """A technique that was left out before the search, and why."""

    technique: str
    reason: str


@dataclass(frozen=True)
class Interaction:
    """What two members do together, over what each does alone.

    Attributes:
        speed_factor: Speed-up over what the two alone predict; 1 where each does what it did
            alone.
        low: Of its 95% interval, as is `high`.
        psnr_shift_db: PSNR less what the two alone predict; None where it was not measured.
        n: Measured stacks that it comes from.
    """

    first: str
    second: str
    speed_factor: float
    low: float
    high: float
    psnr_shift_db: float | None
    n: int


@dataclass(frozen=True)
class RunReport:
    """One run.

    Attributes:
        created: ISO 8601, UTC.
        baseline_s: Seconds of one baseline video.
        frontier: Every setting worth showing, kept or not.
        contributions: Of each member of a stack of two or more that was to go to the gate.
        pairs: Every pair that was judged: of the winner, else of the last stack at the gate.
        clips: The pairs to look at, the worst first.
        winner: Index of the accepted stack in `stacks`, or None.
        memory: By side, "baseline", "accelerated" and "after undo".
        cold_start: None where nothing was accepted, or it could not be measured.
        evidence: What each technique of the winner counted while it ran.
        redundancy: Relative changes by step, by what they are of.
        attention: None where it has no blocks to leave out, or they were not recorded.
        settling: None where it was not recorded.
        time_shares: Of one baseline video, by role.
        bounds: Of each skill, from the diagnosis.
        not_tried: What was left out before the search.
        interactions: Of the pairs that were measured.
    """

    run_id: str
    created: str
    outcome: Literal["accepted", "nothing accepted"]
    headline: str
    target: Target
    profile: str
    profile_digest: str
    versions: Mapping[str, str]
    baseline_s: Interval
    agents: tuple[AgentReport, ...] = ()
    frontier: tuple[Point, ...] = ()
    stacks: tuple[StackReport, ...] = ()
    winner: int | None = None
    memory: Mapping[str, MemoryUse] = field(default_factory=dict)
    cold_start: StartCost | None = None
    evidence: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    contributions: tuple[Contribution, ...] = ()
    pairs: tuple[PairPoint, ...] = ()
    clips: tuple[Clip, ...] = ()
    redundancy: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    attention: SparsityReport | None = None
    settling: Settling | None = None
    time_shares: tuple[TimeShare, ...] = ()
    bounds: tuple[SkillBound, ...] = ()
    not_tried: tuple[NotTried, ...] = ()
    interactions: tuple[Interaction, ...] = ()

    @property
    def winning_stack(self) -> StackReport | None:
        """The accepted stack, if there is one."""
        return None if self.winner is None else self.stacks[self.winner]

    @property
    def judged_stack(self) -> StackReport | None:
        """The accepted stack, or the last one that the gate rejected, if any got there."""
        at_gate = [stack for stack in self.stacks if stack.verdict]
        return self.winning_stack or (at_gate[-1] if at_gate else None)

    @property
    def pareto_set(self) -> tuple[int, ...]:
        """Indices of the stacks that no other beats in speed and in quality, the slowest first."""
        return find_pareto_set([stack.speed_and_quality for stack in self.stacks])

    @property
    def speed_agreement(self) -> Agreement:
        """Of predicted with measured speed-ups; the error is a share of the measured."""
        guesses = [stack.speed_guess for stack in self.stacks]
        return compare_guesses([g for g in guesses if g], relative=True)

    @property
    def psnr_agreement(self) -> Agreement:
        """Of predicted with measured PSNR; the error is in dB."""
        guesses = [stack.psnr_guess for stack in self.stacks]
        return compare_guesses([g for g in guesses if g], relative=False)


def to_json(report: RunReport) -> dict[str, Any]:
    """Plain data for `json.dumps`; numbers that are not finite become None."""
    data = {"schema": SCHEMA, **asdict(report)}
    data["target"]["fingerprint"] = report.target.fingerprint
    for stack, source in zip(data["stacks"], report.stacks, strict=True):
        stack["verdict"] = source.verdict.to_json() if source.verdict else None
    data["pareto_set"] = report.pareto_set
    data["agreement"] = {
        "speedup": asdict(report.speed_agreement),
        "psnr": asdict(report.psnr_agreement),
    }
    plain: dict[str, Any] = _to_plain(data)
    return plain


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
