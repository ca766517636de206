"""Sends stacks to the gate, the fastest first, and takes the final numbers of what it accepts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sol.integrator.measured import MeasuredStack
from sol.search.crew import TRIAL_LIMIT_S, Job
from sol.search.records import ColdStart, Speed
from sol.search.worker import MemoryReading
from sol.stages.gate import GateResult
from sol.stages.request import Session
from sol.validator.kept_videos import KeptVideos, write_kept

_WHO = "gate"


@dataclass(frozen=True)
class FinalNumbers:
    """What a recipe states, measured on a prompt that the search never saw.

    Attributes:
        cold_start: None where the process that was to tell failed or took too long.
    """

    speed: Speed
    memory: MemoryReading
    cold_start: ColdStart | None


@dataclass(frozen=True)
class Judged:
    """A stack that was at the gate.

    Attributes:
        numbers: Present where the gate accepted.
        reason: Why it is rejected all the same, if it is.
    """

    measured: MeasuredStack
    gate: GateResult
    numbers: FinalNumbers | None = None
    reason: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether it passed the gate and is faster beyond the timing noise."""
        return self.numbers is not None and not self.reason


def find_winner(judged: Iterable[Judged]) -> Judged | None:
    """The accepted stack with the highest speed-up, if any was accepted."""
    accepted = [stack for stack in judged if stack.is_accepted]
    return max(accepted, key=_final_speed, default=None)


def _final_speed(judged: Judged) -> float:
    return judged.numbers.speed.median if judged.numbers else 0.0


def judge(session: Session, measured: MeasuredStack) -> Judged:
    """The gate on held-out pairs, then the final numbers if it accepts."""
    label, stack = measured.candidate.label, measured.candidate.stack
    session.journal.write(_WHO, "judge", stack=label, backend=session.gate.setting.backend)
    gate = session.gate.judge(stack)
    verdict = gate.verdict
    _keep_list_of_videos(session, label, gate)
    session.journal.write(
        _WHO,
        "verdict",
        stack=label,
        verdict=verdict.verdict,
        stage=verdict.stage,
        reasons=verdict.reasons,
    )
    if not verdict.is_accepted:
        return Judged(measured, gate, reason="; ".join(verdict.reasons))
    return _measure_finally(session, measured, gate)


def _keep_list_of_videos(session: Session, label: str, gate: GateResult) -> None:
    """Of the stack that was accepted last; until one is, of the last."""
    if not gate.kept or (session.gate.n_accepted and not gate.verdict.is_accepted):
        return
    workload = session.target.workload
    write_kept(
        session.request.folder,
        KeptVideos(
            fps=float(workload.frame_rate),
            height=workload.height,
            width=workload.width,
            num_frames=workload.num_frames,
            stack=label,
            pairs=gate.kept,
        ),
    )


def _measure_finally(session: Session, measured: MeasuredStack, gate: GateResult) -> Judged:
    stack, pair = measured.candidate.stack, session.gate.first_pair
    n_pairs = session.request.budget.final_pairs
    speed: Speed = session.crew.run(
        Job("measure_speed", (stack, pair, n_pairs), TRIAL_LIMIT_S, is_timing=True)
    )
    memory: MemoryReading = session.crew.run(
        Job("measure_memory", (stack, pair), TRIAL_LIMIT_S, is_timing=True)
    )
    cold_start: ColdStart | None = session.crew.run(
        Job("measure_cold_start", (stack, pair), TRIAL_LIMIT_S, is_timing=True)
    )
    noise = session.self_timing.high
    reason = ""
    if speed.low <= noise:
        reason = (
            f"the low end of its speed-up, {speed.low:.2f}x, is inside the timing noise "
            f"(1x reads up to {noise:.2f}x)"
        )
    session.journal.write(
        _WHO,
        "speed",
        stack=measured.candidate.label,
        median=round(speed.median, 3),
        low=round(speed.low, 3),
        high=round(speed.high, 3),
        n=speed.n,
        reason=reason,
        **_describe(cold_start, speed),
    )
    return Judged(measured, gate, FinalNumbers(speed, memory, cold_start), reason)


def _describe(cold_start: ColdStart | None, speed: Speed) -> dict[str, object]:
    if cold_start is None:
        return {"cold_start": "not measured"}
    return {
        "install_s": round(cold_start.install_s, 3),
        "first_extra_s": round(cold_start.first_extra_s, 3),
        "break_even": cold_start.find_break_even(speed),
    }
