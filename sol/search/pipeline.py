"""Takes trials from cheap to dear: a glance at one prompt, all prompts' frames, then the clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sol.search.crew import TRIAL_LIMIT_S, Crew, Job
from sol.search.executors.base import Done
from sol.search.ladder import Ladder
from sol.search.records import Glance, Outcome, Proposal, Quality, QualityFloor, Speed, Status
from sol.search.worker import Pair

Finished = tuple[Proposal, Outcome]


@dataclass(frozen=True)
class TrialSetting:
    """What every trial of a run is measured on.

    Attributes:
        pairs: Calibration prompts and seeds; speed is measured on the first.
        n_timed: Interleaved pairs of a timing.
    """

    pairs: tuple[Pair, ...]
    floor: QualityFloor
    n_timed: int


@dataclass
class _Trial:
    """A proposal on its way."""

    proposal: Proposal
    started: float
    worker: int | None = None
    glance: Glance | None = None
    quality: Quality | None = None


class Pipeline:
    """The trials that are being measured.

    Args:
        ladder: Decides on a glance; None where trials begin with all prompts.
        hear: Is told when the ladder's trust in one of its rungs has changed.
        pass_over: (method, *args) Is told of questions whose kept answers are used up.
    """

    def __init__(
        self,
        crew: Crew,
        setting: TrialSetting,
        ladder: Ladder | None,
        clock: Callable[[], float],
        hear: Callable[[Mapping[str, object]], None] = lambda _: None,
        pass_over: Callable[..., None] = lambda *_: None,
    ) -> None:
        self._crew = crew
        self._setting = setting
        self._ladder = ladder
        self._clock = clock
        self._hear = hear
        self._pass_over = pass_over
        self._open: dict[int, _Trial] = {}
        self._waiting: deque[tuple[_Trial, Job]] = deque()

    @property
    def has_room(self) -> bool:
        """Whether another trial could start."""
        return self._crew.has_room

    @property
    def is_busy(self) -> bool:
        """Whether any trial is under way, or could not be because no worker is in service."""
        return bool(self._open or self._waiting) or self._crew.is_busy

    def has_trial_of(self, skill: str) -> bool:
        """Whether a trial of this skill is under way."""
        trials = (*self._open.values(), *(trial for trial, _ in self._waiting))
        return any(trial.proposal.skill == skill for trial in trials)

    def start(self, proposal: Proposal) -> None:
        """Starts the first rung, as soon as there is room."""
        trial = _Trial(proposal, self._clock())
        if self._ladder is None:
            self._judge(trial)
            return
        args = (proposal.stack, self._setting.pairs[0], self._ladder.limits)
        self._start_or_wait(trial, Job("glance", args, TRIAL_LIMIT_S))

    def recall(self, proposal: Proposal, outcome: Outcome) -> None:
        """Takes in a trial of a run that was killed.

        Its answers are used up: who asks the same again wants another measurement.
        """
        setting, stack = self._setting, proposal.stack
        if outcome.quality is not None:
            self._pass_over("measure_quality", stack, setting.pairs, setting.floor)
            if outcome.glance is not None and self._ladder is not None:
                self._ladder.learn(outcome.glance, outcome.quality)
        if outcome.speed is not None:
            self._pass_over("measure_speed", stack, setting.pairs[0], setting.n_timed)

    def advance(self) -> list[Finished]:
        """Starts what can be started, waits a little, and returns the trials that ended."""
        for _ in range(len(self._waiting)):
            self._start_or_wait(*self._waiting.popleft())
        finished = [self._handle(self._open.pop(done.ticket), done) for done in self._crew.wait()]
        return [item for item in finished if item is not None]

    def _judge(self, trial: _Trial) -> None:
        setting = self._setting
        args = (trial.proposal.stack, setting.pairs, setting.floor)
        job = Job("measure_quality", args, TRIAL_LIMIT_S, worker=trial.worker)
        self._start_or_wait(trial, job)

    def _time(self, trial: _Trial) -> None:
        """A timing takes its device alone: it waits, and others may go on there before it."""
        args = (trial.proposal.stack, self._setting.pairs[0], self._setting.n_timed)
        job = Job("measure_speed", args, TRIAL_LIMIT_S, is_timing=True, worker=trial.worker)
        self._waiting.append((trial, job))

    def _start_or_wait(self, trial: _Trial, job: Job) -> None:
        """Waits where the worker that the job is bound to has gone since, and no other is idle."""
        if self._crew.may_start(job):
            self._open[self._crew.start(job)] = trial
        else:
            self._waiting.append((trial, job))

    def _handle(self, trial: _Trial, done: Done) -> Finished | None:
        if done.failure is not None:
            return self._finish(trial, _status_of(done), done.reason)
        trial.worker = done.worker
        if isinstance(done.value, Glance):
            return self._after_glance(trial, done.value)
        if isinstance(done.value, Quality):
            return self._after_quality(trial, done.value)
        return self._finish(trial, "measured", speed=done.value)

    def _after_glance(self, trial: _Trial, glance: Glance) -> Finished | None:
        assert self._ladder is not None
        trial.glance = glance
        reason = self._ladder.verdict(glance)
        if reason is not None:
            return self._finish(trial, "over_budget", reason)
        self._judge(trial)
        return None

    def _after_quality(self, trial: _Trial, quality: Quality) -> Finished | None:
        trial.quality = quality
        if self._ladder is not None and trial.glance is not None:
            for news in self._ladder.learn(trial.glance, quality):
                self._hear(news)
        shortfall = self._setting.floor.find_shortfall(quality)
        if shortfall:
            return self._finish(trial, "over_budget", shortfall)
        self._time(trial)
        return None

    def _finish(
        self, trial: _Trial, status: Status, reason: str = "", speed: Speed | None = None
    ) -> Finished:
        seconds = round(self._clock() - trial.started, 2)
        outcome = Outcome(status, reason, trial.quality, speed, seconds, trial.glance)
        return trial.proposal, outcome


def _status_of(done: Done) -> Status:
    return "no_effect" if done.failure == "no_effect" else "failed"
