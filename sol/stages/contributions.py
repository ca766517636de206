"""What each member of an accepted stack adds: the stack is measured again without it.

For the reader of the report alone: a recipe is what the gate accepted, whatever this finds.
"""

from __future__ import annotations

import math

from sol.measure.stats import Interval
from sol.search.crew import Job
from sol.search.orchestrator import TRIAL_LIMIT_S
from sol.search.records import Quality, QualityFloor, Speed
from sol.stages.judge import Judged
from sol.stages.request import Session
from sol.technique import Stack
from sol.validator.report.model import Contribution

_WHO = "report"
_FEWEST_MEMBERS = 2
_NO_FLOOR = QualityFloor(0.0, 0.0)
"""Below a floor a measurement ends early, and would be over other prompts than the stack's."""


def measure_contributions(session: Session, winner: Judged) -> tuple[Contribution, ...]:
    """One for each member, or none where there is but one member.

    The others are timed as the stack was when it was composed, on the same pair and as often, and
    compared with the baseline on the same calibration pairs.
    """
    measured = winner.measured
    stack, speed, quality = measured.candidate.stack, measured.speed, measured.quality
    if len(stack) < _FEWEST_MEMBERS or speed is None or quality is None:
        return ()
    found = []
    for index, item in enumerate(stack):
        others = (*stack[:index], *stack[index + 1 :])
        found.append(_measure(session, item.technique, others, speed, quality.psnr))
        _write(session, found[-1])
    return tuple(found)


def divide(whole: Interval, part: Interval) -> Interval:
    """The ratio of two independent speed-ups: their half-widths add as squares, in logarithms."""
    middle = math.log(whole.median / part.median)
    below = math.hypot(
        math.log(whole.median / whole.low),
        math.log(part.high / part.median),
    )
    above = math.hypot(
        math.log(whole.high / whole.median),
        math.log(part.median / part.low),
    )
    return Interval(
        math.exp(middle), math.exp(middle - below), math.exp(middle + above), min(whole.n, part.n)
    )


def _measure(
    session: Session, technique: str, others: Stack, whole: Speed, psnr_with: float
) -> Contribution:
    """Speed and quality of the others; the reason where either could not be had."""
    quality_job = Job("measure_quality", (others, session.calibration, _NO_FLOOR), TRIAL_LIMIT_S)
    n_pairs = session.request.budget.trial_pairs
    timing = (others, session.calibration[0], n_pairs)
    speed_job = Job("measure_speed", timing, TRIAL_LIMIT_S, is_timing=True)
    for_quality, for_speed = session.crew.run_all([quality_job, speed_job])
    failed = next((done for done in (for_quality, for_speed) if done.failure is not None), None)
    if failed is not None:
        return Contribution(technique, reason=failed.reason)
    quality: Quality = for_quality.value
    without = _to_interval(for_speed.value)
    adds = divide(_to_interval(whole), without)
    is_noise = adds.low <= 1.0 + session.noise and adds.high >= 1.0 / (1.0 + session.noise)
    return Contribution(technique, without, adds, is_noise, quality.psnr, psnr_with)


def _to_interval(speed: Speed) -> Interval:
    return Interval(speed.median, speed.low, speed.high, speed.n)


def _write(session: Session, item: Contribution) -> None:
    if item.adds is None:
        session.journal.write(
            _WHO, "cannot_leave_out", technique=item.technique, reason=item.reason
        )
        return
    session.journal.write(
        _WHO,
        "leave_out",
        technique=item.technique,
        adds=round(item.adds.median, 3),
        low=round(item.adds.low, 3),
        high=round(item.adds.high, 3),
        remark="inside the noise" if item.is_noise else "",
    )
