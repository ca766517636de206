"""Shares measuring time between the agents and the integrator until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sol.search.agent import AgentState
from sol.search.agent_record import AgentRecord
from sol.search.composing import Composing
from sol.search.executors.base import Executor, Past
from sol.search.journal import Journal
from sol.search.pipeline import Pipeline
from sol.search.posting import post, tell
from sol.search.records import Finding, Outcome, Proposal
from sol.search.trial_store import TrialStore


@dataclass(frozen=True)
class SearchTime:
    """How long a search may take.

    Attributes:
        left_s: Seconds.
        spend: Is told of seconds as they go by.
    """

    left_s: float
    clock: Callable[[], float]
    spend: Callable[[float], None] = lambda _: None


class Orchestrator:
    """Runs one search.

    Args:
        composer: Bids for measurements beside the agents.
        noise: Relative half-width of the baseline's own timing: an agent whose bound lies inside
            it cannot show a gain, and is retired.
    """

    def __init__(
        self,
        executor: Executor,
        pipeline: Pipeline,
        composer: Composing,
        journal: Journal,
        store: TrialStore,
        time: SearchTime,
        noise: float,
    ) -> None:
        self._executor = executor
        self._pipeline = pipeline
        self._composer = composer
        self._journal = journal
        self._store = store
        self._time = time
        self._noise = noise
        self._records: dict[str, AgentRecord] = {}
        self._stacks = AgentRecord(composer.skill, 1.0)
        self._again: list[Proposal] = []
        self._interrupted: set[str] = set()

    def run(self, states: tuple[AgentState, ...]) -> dict[str, AgentRecord]:
        """Searches until the time is up or nothing is worth measuring; what each agent found."""
        self._executor.remember(self._past_of)
        for state in states:
            self._admit(state)
        self._recall()
        self._search()
        for record in self._records.values():
            self._collect(record)
            if record.status == "running":
                self._retire(record, "time is up")
        return self._records

    def _search(self) -> None:
        now = self._time.clock()
        deadline = now + self._time.left_s
        while True:
            if now < deadline:
                self._start_trials()
            if not self._pipeline.is_busy:
                return
            for finished in self._pipeline.advance():
                self._store.finish(*finished)
                self._finish(*finished)
            now, before = self._time.clock(), now
            self._time.spend(now - before)

    def compose(self, n: int, least_gain: float) -> None:
        """Measures as many further stacks at most, one after the other, for the integrator.

        One that does not engage says so at once, and does not count. It ends where less is
        expected of the next one, in the logarithm of the speed-up. They are not stored: a search
        that is taken up again after its end does not have them, so it proposes them again, and
        their measurements are recalled.
        """
        left = n
        while left > 0 and self._composer.bid() >= least_gain:
            proposal = self._composer.propose()
            if proposal is None:
                return
            left -= self._measure_alone(proposal).status != "no_effect"

    def _measure_alone(self, proposal: Proposal) -> Outcome:
        self._start(proposal)
        while not (finished := self._pipeline.advance()):
            pass
        ((_, outcome),) = finished
        self._finish(proposal, outcome)
        return outcome

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

    def _past_of(self, skill: str) -> Past:
        """For an agent that takes over from one that died."""
        return self._store.history(skill), self._store.interrupted(skill)

    def _recall(self) -> None:
        """What a run that was killed had measured, and what it was measuring."""
        for proposal, outcome in self._store.past():
            self._pipeline.recall(proposal, outcome)
            self._learn(proposal, outcome)
        for record in self._records.values():
            history, interrupted = self._past_of(record.skill)
            findings = self._executor.ask_agent(record.skill, "recall", history, interrupted)
            for finding in findings:
                tell(finding, self._records, self._executor)
            self._offer(record)
            if interrupted:
                self._interrupted.add(record.skill)
        self._again += self._store.interrupted(self._stacks.skill)
        if self._again:
            self._interrupted.add(self._stacks.skill)

    def _learn(self, proposal: Proposal, outcome: Outcome) -> None:
        if proposal.skill == self._stacks.skill:
            self._stacks.trials.append((proposal, outcome))
            self._composer.learn_stack(proposal, outcome)
        elif proposal.skill in self._records:
            self._records[proposal.skill].trials.append((proposal, outcome))
            self._composer.learn_setting(proposal, outcome)

    def _start_trials(self) -> None:
        """Gives idle workers to the highest bidders; one open trial each."""
        for skill in self._by_expected_gain():
            if not self._pipeline.has_room:
                return
            proposal = self._ask(skill)
            if proposal is not None:
                self._store.begin(proposal)
                self._start(proposal)

    def _start(self, proposal: Proposal) -> None:
        self._journal.write(
            proposal.skill,
            "hypothesise",
            trial=proposal.number,
            setting=proposal.label,
            reason=proposal.hypothesis,
            known=proposal.known,
            expected=round(proposal.expected_speedup, 3),
        )
        self._pipeline.start(proposal)

    def _ask(self, skill: str) -> Proposal | None:
        self._interrupted.discard(skill)
        if skill == self._stacks.skill:
            return self._again.pop(0) if self._again else self._composer.propose()
        proposal: Proposal | None = self._executor.ask_agent(skill, "hypothesise")
        if proposal is None:
            self._retire(self._records[skill], "nothing left to try")
        return proposal

    def _by_expected_gain(self) -> list[str]:
        """Those without an open trial, by the gain that they expect for a second.

        What was interrupted comes first.
        """
        running = [r for r in self._records.values() if r.status == "running"]
        idle = [r for r in running if not self._pipeline.has_trial_of(r.skill)]
        seconds = self._mean_seconds()
        gains = {r.skill: self._expected_gain_of(r.skill) / seconds[r.skill] for r in idle}
        if not self._pipeline.has_trial_of(self._stacks.skill):
            bid = self._composer.bid()
            if bid > 0 or self._again:
                gains[self._stacks.skill] = bid / seconds[self._stacks.skill]
        return sorted(gains, key=lambda skill: (skill not in self._interrupted, -gains[skill]))

    def _mean_seconds(self) -> dict[str, float]:
        """Of a trial of each; of those that had none, as of all others."""
        records = (*self._records.values(), self._stacks)
        known = {r.skill: r.mean_seconds for r in records if r.trials}
        mean = sum(known.values()) / len(known) if known else 1.0
        return {r.skill: known.get(r.skill, mean) for r in records}

    def _expected_gain_of(self, skill: str) -> float:
        state: AgentState = self._executor.ask_agent(skill, "state")
        return state.expected_gain

    def _finish(self, proposal: Proposal, outcome: Outcome) -> None:
        self._write(proposal, outcome)
        self._learn(proposal, outcome)
        if proposal.skill == self._stacks.skill:
            return
        findings: tuple[Finding, ...] = self._executor.ask_agent(
            proposal.skill, "reflect", proposal, outcome
        )
        self._offer(self._records[proposal.skill])
        for finding in findings:
            post(finding, self._records, self._executor, self._journal)

    def _offer(self, record: AgentRecord) -> None:
        record.frontier = self._executor.ask_agent(record.skill, "frontier")
        gaining = (point.proposal for point in record.frontier if point.speed.median > 1.0)
        self._composer.offer(record.skill, gaining)

    def _collect(self, record: AgentRecord) -> None:
        record.edges = self._executor.ask_agent(record.skill, "edges")
        record.spaces = self._executor.ask_agent(record.skill, "spaces")

    def _write(self, proposal: Proposal, outcome: Outcome) -> None:
        quality, speed = outcome.quality, outcome.speed
        self._journal.write(
            proposal.skill,
            "reflect",
            trial=proposal.number,
            setting=proposal.label,
            status=outcome.status,
            reason=outcome.reason,
            psnr=_round(quality.psnr if quality else None),
            speedup=_round(speed.median if speed else None),
            low=_round(speed.low if speed else None),
            high=_round(speed.high if speed else None),
            counts=quality.counts if quality else {},
        )

    def _retire(self, record: AgentRecord, why: str) -> None:
        record.status = why
        self._journal.write(record.skill, "retire", reason=why)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
