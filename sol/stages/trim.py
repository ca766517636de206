"""What each member adds to a stack, measured by leaving it out; what adds nothing is removed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from sol.integrator.compose import Candidate
from sol.integrator.composer import Composer
from sol.integrator.effects import Effect
from sol.integrator.measured import MeasuredStack
from sol.measure.stats import Interval
from sol.search.crew import TRIAL_LIMIT_S, Job
from sol.search.records import QualityFloor, Speed
from sol.stages.request import Session
from sol.validator.report.model import Contribution

_WHO = "integrator"
_FEWEST_MEMBERS = 2
_NO_FLOOR = QualityFloor(0.0, 0.0)
"""Below a floor a measurement ends early, and would be over other prompts than the stack's."""
_MORE = 3
"""Times as many pairs where a member's part cannot be told from nothing."""


@dataclass
class _Trimming:
    """A stack on its way to fewer members."""

    session: Session
    composer: Composer
    stack: MeasuredStack
    found: list[Contribution] = field(default_factory=list)
    n_pairs: int = 0
    label: str = field(init=False)

    def __post_init__(self) -> None:
        self.label = self.stack.candidate.label

    def try_without(self, effect: Effect) -> None:
        """Measures the stack without one member, and goes on without it if it adds nothing."""
        part = self._measure(self.composer.without(self.stack.candidate, effect))
        contribution = self._compare(part, effect)
        if part.is_eligible and not _is_shown(contribution):
            self._look_closer()
            part = self._time(part, self.n_pairs)
            contribution = self._compare(part, effect)
        if part.is_eligible:
            self.composer.take(part)
        if part.is_eligible and not _is_shown(contribution):
            reason = f"no gain beyond what {self.n_pairs} pairs can tell"
            contribution = replace(contribution, removed=True, reason=reason)
            self.stack = part
        self.found.append(contribution)
        _write(self.session, contribution)

    def _look_closer(self) -> None:
        """Times the whole stack with more pairs, once."""
        n_pairs = _MORE * self.session.request.budget.trial_pairs
        if self.n_pairs < n_pairs or self.stack.speed is None or self.stack.speed.n < n_pairs:
            self.n_pairs = n_pairs
            self.stack = self._time(self.stack, n_pairs)

    def _measure(self, candidate: Candidate) -> MeasuredStack:
        session = self.session
        args = (candidate.stack, session.calibration, _NO_FLOOR)
        done = session.crew.run_all([Job("measure_quality", args, TRIAL_LIMIT_S)])[0]
        if done.failure is not None:
            return MeasuredStack(candidate, reason=done.reason)
        n_pairs = self.stack.speed.n if self.stack.speed else session.request.budget.trial_pairs
        return self._time(MeasuredStack(candidate, done.value), n_pairs)

    def _time(self, stack: MeasuredStack, n_pairs: int) -> MeasuredStack:
        args = (stack.candidate.stack, self.session.calibration[0], n_pairs)
        job = Job("measure_speed", args, TRIAL_LIMIT_S, is_timing=True)
        done = self.session.crew.run_all([job])[0]
        if done.failure is not None:
            return replace(stack, reason=done.reason)
        return replace(stack, speed=done.value)

    def _compare(self, part: MeasuredStack, effect: Effect) -> Contribution:
        whole = self.stack
        if part.speed is None or part.quality is None or not whole.speed or not whole.quality:
            return Contribution(effect.technique, reason=part.reason or whole.reason)
        adds = divide(to_interval(whole.speed), to_interval(part.speed))
        return Contribution(
            effect.technique,
            to_interval(part.speed),
            adds,
            is_noise=adds.low <= 1.0,
            psnr_without=part.quality.psnr,
            psnr_with=whole.quality.psnr,
            speedup_with=to_interval(whole.speed),
            stack=self.label,
        )


def trim(
    session: Session, composer: Composer, stack: MeasuredStack
) -> tuple[MeasuredStack, tuple[Contribution, ...]]:
    """The stack without the members that do not make it faster, and what each member adds.

    Those that did least alone are left out first. What cannot be told from nothing is timed again
    with more pairs; what then still cannot is removed.
    """
    trimming = _Trimming(session, composer, stack)
    for effect in sorted(stack.candidate.members, key=lambda effect: -effect.log_time):
        if len(trimming.stack.candidate.members) < _FEWEST_MEMBERS:
            break
        trimming.try_without(effect)
    return trimming.stack, tuple(trimming.found)


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


def to_interval(speed: Speed) -> Interval:
    """The paired speed-up of a timing."""
    return Interval(speed.median, speed.low, speed.high, speed.n)


def _is_shown(contribution: Contribution) -> bool:
    return contribution.adds is not None and not contribution.is_noise


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
        remark="removed" if item.removed else "",
    )
