"""The search: agents and the integrator share the measuring time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sol.integrator.composer import Composer
from sol.integrator.cost import shares_of
from sol.search.agent_record import AgentRecord
from sol.search.ladder import Ladder
from sol.search.orchestrator import Orchestrator, SearchTime
from sol.search.pipeline import Pipeline, TrialSetting
from sol.search.trial_storage import open_memory_store
from sol.skills.registry import TECHNIQUES
from sol.stages.request import Session, TuneRequest
from sol.stages.start import Briefing


@dataclass(frozen=True)
class Search:
    """A search that has ended, and what goes on measuring stacks after it."""

    agents: Mapping[str, AgentRecord]
    orchestrator: Orchestrator
    composer: Composer


def search(session: Session, briefing: Briefing) -> Search:
    """Runs the agents and the integrator until the time is up or nothing is worth measuring."""
    composer = Composer(
        shares_of(session.diagnosis),
        TECHNIQUES,
        session.floor,
        least_speedup=max(session.self_timing.high, 1.0),
    )
    for state in briefing.states:
        composer.spaces.update(session.executor.ask_agent(state.skill, "spaces"))
    composer.recommend(briefing.precedents)
    request = session.request
    store = request.store or open_memory_store()
    store.describe(composer.spaces, session.floor)
    setting = TrialSetting(session.calibration, session.floor, request.budget.trial_pairs)
    orchestrator = Orchestrator(
        executor=session.executor,
        pipeline=Pipeline(
            session.crew,
            setting,
            Ladder(session.floor),
            time.monotonic,
            hear=lambda line: session.journal.write("ladder", "trust", **line),
            pass_over=_nothing if request.ledger is None else request.ledger.pass_over,
        ),
        composer=composer,
        journal=session.journal,
        store=store,
        time=_time_of(request),
        noise=session.noise,
    )
    return Search(orchestrator.run(briefing.states), orchestrator, composer)


def _time_of(request: TuneRequest) -> SearchTime:
    """What is left of the budget, less what earlier starts of the run have used."""
    search_s, spent = request.budget.search_s, request.spent
    if spent is None:
        return SearchTime(search_s, time.monotonic)
    return SearchTime(search_s - spent.seconds, time.monotonic, spent.add)


def _nothing(*_: object) -> None:
    """Where no answers are kept."""
