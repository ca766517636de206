"""Shares measuring time between the agents until the budget is spent."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sol.search.agent import AgentState
from sol.search.budget import Budget
from sol.search.cliff import Edge
from sol.search.crew import Crew, Job
from sol.search.executors.base import Done, Executor
from sol.search.journal import Journal
from sol.search.posting import post
from sol.search.records import (
    Finding,
    FrontierPoint,
    Outcome,
    Proposal,
    Quality,
    QualityFloor,
    Speed,
    Status,
)
from sol.search.worker import Pair
from sol.space import Space
from sol.technique import StackItem

TRIAL_LIMIT_S = 600.0


@dataclass
class _Trial:
    """A proposal on its way: first its quality, then its speed."""

    proposal: Proposal
    started: float
    worker: int = -1
    quality: Quality | None = None

    @property
    def stack(self) -> tuple[StackItem, ...]:
        return (StackItem(self.proposal.technique, self.proposal.config),)


@dataclass
class AgentRecord:
    """One agent's part of the run, for what follows it and for the report.

    Attributes:
        frontier: What it offers to be composed.
        edges: Where quality ends, by what it measured.
        spaces: What it could choose from, by technique.
    """

    skill: str
    bound: float
    trials: list[tuple[Proposal, Outcome]] = field(default_factory=list)
    frontier: tuple[FrontierPoint, ...] = ()
    edges: tuple[Edge, ...] = ()
    spaces: Mapping[str, Space] = field(default_factory=dict)
    status: str = "running"


class Orchestrator:
    """Runs one search.

    Args:
        noise: Relative half-width of the baseline's own timing: an agent whose bound lies inside
            it cannot show a gain, and is retired.
        pairs: Calibration prompts and seeds.
    """

    def __init__(
        self,
        executor: Executor,
        crew: Crew,
        journal: Journal,
        budget: Budget,
        pairs: tuple[Pair, ...],
        floor: QualityFloor,
        noise: float,
        clock: Callable[[], float],
    ) -> None:
        self._executor = executor
        self._crew = crew
        self._journal = journal
        self._budget = budget
        self._pairs = pairs
        self._floor = floor
        self._noise = noise
        self._clock = clock
        self._records: dict[str, AgentRecord] = {}
        self._judging: dict[int, _Trial] = {}
        self._to_time: deque[_Trial] = deque()
        self._timing: dict[int, _Trial] = {}

    def run(self, states: tuple[AgentState, ...]) -> dict[str, AgentRecord]:
        """Searches until the time is up or every agent is done; what each has found."""
        for state in states:
            self._admit(state)
        deadline = self._clock() + self._budget.search_s
        while True:
            if self._clock() < deadline:
                self._start_trials()
            self._start_timing()
            if not self._crew.is_busy:
                break
            for done in self._crew.wait():
                self._handle(done)
        for record in self._records.values():
            self._collect(record)
            if record.status == "running":
                self._retire(record, "time is up")
        return self._records

    def _collect(self, record: AgentRecord) -> None:
        record.frontier = self._executor.ask_agent(record.skill, "frontier")
        record.edges = self._executor.ask_agent(record.skill, "edges")
        record.spaces = self._executor.ask_agent(record.skill, "spaces")

    def _admit(self, state: AgentState) -> None:
        record = AgentRecord(state.skill, state.bound)
        self._records[state.skill] = record
        if state.exhausted:
            self._retire(record, "no technique applies that could gain beyond the noise")
        elif state.bound <= 1 + self._noise:
            self._retire(
                record,
                f"its bound {state.bound:.2f}x is inside the timing noise of {self._noise:.0%}",
            )

    def _start_trials(self) -> None:
        """Gives idle workers to the agents, the most promising first; one open trial each."""
        for skill in self._by_expected_gain():
            if not self._crew.has_room:
                return
            trial = self._next_trial(skill)
            if trial is None:
                continue
            args = (trial.stack, self._pairs, self._floor)
            self._judging[self._crew.start(Job("measure_quality", args, TRIAL_LIMIT_S))] = trial
            self._journal.write(
                skill,
                "measure",
                trial=trial.proposal.number,
                setting=trial.proposal.label,
                what="quality",
            )

    def _next_trial(self, skill: str) -> _Trial | None:
        proposal: Proposal | None = self._executor.ask_agent(skill, "hypothesise")
        if proposal is None:
            self._retire(self._records[skill], "nothing left to try")
            return None
        self._journal.write(
            skill,
            "hypothesise",
            trial=proposal.number,
            setting=proposal.label,
            reason=proposal.hypothesis,
            known=proposal.known,
            expected=round(proposal.expected_speedup, 3),
        )
        return _Trial(proposal, self._clock())

    def _by_expected_gain(self) -> list[str]:
        states: list[AgentState] = [
            self._executor.ask_agent(record.skill, "state")
            for record in self._records.values()
            if record.status == "running" and not self._has_open_trial(record.skill)
        ]
        costs = {s.skill: self._mean_seconds(s.skill) for s in states}
        states.sort(key=lambda s: -expected_gain(s) / costs[s.skill])
        return [state.skill for state in states]

    def _has_open_trial(self, skill: str) -> bool:
        open_trials = (*self._judging.values(), *self._to_time, *self._timing.values())
        return any(trial.proposal.skill == skill for trial in open_trials)

    def _mean_seconds(self, skill: str) -> float:
        spent = [outcome.seconds for _, outcome in self._records[skill].trials]
        return max(sum(spent) / len(spent), 0.1) if spent else 1.0

    def _start_timing(self) -> None:
        """A timing takes its device alone, so it starts only when nothing runs there."""
        for _ in range(len(self._to_time)):
            trial = self._to_time.popleft()
            args = (trial.stack, self._pairs[0], self._budget.trial_pairs)
            job = Job("measure_speed", args, TRIAL_LIMIT_S, is_timing=True, worker=trial.worker)
            if self._crew.may_start(job):
                self._timing[self._crew.start(job)] = trial
            else:
                self._to_time.append(trial)

    def _handle(self, done: Done) -> None:
        trial = self._judging.pop(done.ticket, None)
        if trial is None:
            self._after_timing(self._timing.pop(done.ticket), done)
        elif done.failure is not None:
            self._finish(trial, _failed(done))
        else:
            self._after_quality(trial, done)

    def _after_quality(self, trial: _Trial, done: Done) -> None:
        quality: Quality = done.value
        trial.quality, trial.worker = quality, done.worker
        shortfall = self._floor.find_shortfall(quality)
        if shortfall:
            self._finish(trial, Outcome("over_budget", shortfall, quality))
        else:
            self._to_time.append(trial)

    def _after_timing(self, trial: _Trial, done: Done) -> None:
        if done.failure is not None:
            self._finish(trial, _failed(done, trial.quality))
            return
        speed: Speed = done.value
        self._finish(trial, Outcome("measured", "", trial.quality, speed))

    def _finish(self, trial: _Trial, outcome: Outcome) -> None:
        skill = trial.proposal.skill
        seconds = self._clock() - trial.started
        outcome = Outcome(
            outcome.status, outcome.reason, outcome.quality, outcome.speed, round(seconds, 2)
        )
        self._records[skill].trials.append((trial.proposal, outcome))
        findings: tuple[Finding, ...] = self._executor.ask_agent(
            skill, "reflect", trial.proposal, outcome
        )
        self._journal.write(
            skill,
            "reflect",
            trial=trial.proposal.number,
            setting=trial.proposal.label,
            status=outcome.status,
            reason=outcome.reason,
            psnr=_round(outcome.quality.psnr if outcome.quality else None),
            speedup=_round(outcome.speed.median if outcome.speed else None),
            low=_round(outcome.speed.low if outcome.speed else None),
            high=_round(outcome.speed.high if outcome.speed else None),
            counts=outcome.quality.counts if outcome.quality else {},
        )
        for finding in findings:
            post(finding, self._records, self._executor, self._journal)

    def _retire(self, record: AgentRecord, why: str) -> None:
        record.status = why
        self._journal.write(record.skill, "retire", reason=why)


def expected_gain(state: AgentState) -> float:
    """Expected log speed-up of one more trial.

    What is left up to the bound, times the chance of an improvement by the rule of succession:
    after k trials in a row without one, 1 / (k + 2).
    """
    left = max(math.log(state.bound) - math.log(state.best_speedup), 0.0)
    return left / (state.since_improvement + 2)


def _failed(done: Done, quality: Quality | None = None) -> Outcome:
    status: Status = "no_effect" if done.failure == "no_effect" else "failed"
    return Outcome(status, done.reason, quality)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
