"""What a run report says, as frozen data; the page is a rendering of it and of nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sol.measure.stats import Interval
from sol.target import Target
from sol.validator.verdict import Verdict

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
class StackReport:
    """A composed stack.

    Attributes:
        members: Its techniques with config and schedule, plain data as in a recipe.
        speedup: Over the baseline; None where it was never timed.
        predicted_speedup: What the cost model expected.
        psnr: Mean over the prompts it was measured on, in dB.
        verdict: The gate's, for a stack that got that far.
        edge: What its bolder neighbour did, for a stack that was to go there.
    """

    label: str
    members: tuple[Mapping[str, Any], ...]
    speedup: Interval | None
    predicted_speedup: float | None
    psnr: float | None
    status: str
    reason: str = ""
    verdict: Verdict | None = None
    edge: str = ""


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of weights and of the peak while one video is made; None where it is not known."""

    weights_bytes: int | None
    peak_bytes: int | None


@dataclass(frozen=True)
class Clip:
    """A side-by-side comparison, stored as `file`; baseline on the left."""

    prompt: str
    seed: int
    psnr: float
    ssim: float
    file: str


@dataclass(frozen=True)
class RunReport:
    """One run.

    Attributes:
        created: ISO 8601, UTC.
        baseline_s: Seconds of one baseline video.
        frontier: Every setting worth showing, kept or not.
        winner: Index of the accepted stack in `stacks`, or None.
        memory: By side, "baseline" and "accelerated".
        evidence: What each technique of the winner counted while it ran.
        redundancy: Relative changes by step, by what they are of.
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
    evidence: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    clips: tuple[Clip, ...] = ()
    redundancy: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def winning_stack(self) -> StackReport | None:
        """The accepted stack, if there is one."""
        return None if self.winner is None else self.stacks[self.winner]


def to_json(report: RunReport) -> dict[str, Any]:
    """Plain data for `json.dumps`; numbers that are not finite become None."""
    data = {"schema": SCHEMA, **asdict(report)}
    data["target"]["fingerprint"] = report.target.fingerprint
    for stack, source in zip(data["stacks"], report.stacks, strict=True):
        stack["verdict"] = source.verdict.to_json() if source.verdict else None
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
