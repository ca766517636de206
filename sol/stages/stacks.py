"""Measures the composed stacks: quality on the calibration pairs, then paired speed."""

from __future__ import annotations

from dataclasses import dataclass

from sol.integrator.compose import Candidate
from sol.search.crew import Job
from sol.search.orchestrator import TRIAL_LIMIT_S
from sol.search.records import Quality, Speed
from sol.stages.edge import EdgeCheck
from sol.stages.request import Session

_WHO = "integrator"


@dataclass(frozen=True)
class MeasuredStack:
    """A candidate and what was measured of it.

    Attributes:
        reason: Why it is out, if it is.
        edge: What its bolder neighbour did, where it was looked at.
    """

    candidate: Candidate
    quality: Quality | None = None
    speed: Speed | None = None
    reason: str = ""
    edge: EdgeCheck | None = None

    @property
    def is_eligible(self) -> bool:
        """Whether it may go to the gate."""
        return self.speed is not None and not self.reason


def measure_stacks(
    session: Session, candidates: tuple[Candidate, ...]
) -> tuple[MeasuredStack, ...]:
    """Measures each candidate; the fastest eligible first, those that are out last."""
    measured = [_measure(session, candidate) for candidate in candidates]
    return tuple(sorted(measured, key=_by_speed))


def _measure(session: Session, candidate: Candidate) -> MeasuredStack:
    session.journal.write(
        _WHO,
        "measure",
        stack=candidate.label,
        predicted_speedup=round(candidate.predicted_speedup, 3),
        predicted_psnr=round(candidate.predicted_psnr, 2),
    )
    result = _measure_quality(session, candidate)
    if not result.reason:
        result = _measure_speed(session, result)
    session.journal.write(
        _WHO,
        "reflect",
        stack=candidate.label,
        reason=result.reason,
        psnr=round(result.quality.psnr, 2) if result.quality else None,
        speedup=round(result.speed.median, 3) if result.speed else None,
    )
    return result


def _measure_quality(session: Session, candidate: Candidate) -> MeasuredStack:
    args = (candidate.stack, session.calibration, session.floor)
    done = session.crew.run_all([Job("measure_quality", args, TRIAL_LIMIT_S)])[0]
    if done.failure is not None:
        return MeasuredStack(candidate, reason=done.reason)
    quality: Quality = done.value
    return MeasuredStack(candidate, quality, reason=session.floor.find_shortfall(quality) or "")


def _measure_speed(session: Session, result: MeasuredStack) -> MeasuredStack:
    args = (result.candidate.stack, session.calibration[0], session.request.budget.trial_pairs)
    job = Job("measure_speed", args, TRIAL_LIMIT_S, is_timing=True)
    done = session.crew.run_all([job])[0]
    if done.failure is not None:
        return MeasuredStack(result.candidate, result.quality, reason=done.reason)
    speed: Speed = done.value
    noise = session.self_timing.high
    if speed.median <= noise:
        reason = f"{speed.median:.2f}x is inside the timing noise (1x reads up to {noise:.2f}x)"
        return MeasuredStack(result.candidate, result.quality, speed, reason)
    return MeasuredStack(result.candidate, result.quality, speed)


def _by_speed(stack: MeasuredStack) -> tuple[bool, float]:
    return (not stack.is_eligible, -(stack.speed.median if stack.speed else 0.0))
