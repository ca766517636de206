"""The whole flow, top to bottom: baseline, agents, composition, gate, recipe, report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.search.executors.base import Executor
from sol.search.journal import Journal
from sol.search.orchestrator import AgentRecord, Orchestrator
from sol.stages.choose import choose_stack
from sol.stages.contributions import measure_contributions
from sol.stages.judge import Judged, find_winner
from sol.stages.recipe import write_recipe
from sol.stages.report import write_report
from sol.stages.request import Session, TuneRequest
from sol.stages.start import brief_agents, start_session


@dataclass(frozen=True)
class TuneResult:
    """What a run left behind; `recipe` is None when nothing was accepted."""

    folder: Path
    recipe: Path | None
    report: Path
    judged: tuple[Judged, ...]
    seconds: float

    @property
    def winner(self) -> Judged | None:
        """The accepted stack, if there is one."""
        return find_winner(self.judged)

    def to_json(self) -> dict[str, Any]:
        """What `sol tune --json` prints."""
        speed = self.winner.numbers.speed if self.winner and self.winner.numbers else None
        interval = speed and {"median": speed.median, "low": speed.low, "high": speed.high}
        return {
            "recipe": str(self.recipe) if self.recipe else None,
            "report": str(self.report),
            "run": str(self.folder),
            "speedup": interval,
            "n": speed and speed.n,
            "seconds": round(self.seconds, 1),
        }


def tune(request: TuneRequest, executor: Executor, journal: Journal) -> TuneResult:
    """Searches, composes, validates, and writes what it found into the request's folder.

    The executor is the caller's to close.
    """
    start = time.perf_counter()
    session = start_session(request, executor, journal)
    agents = _search(session)
    measured, judged = choose_stack(session, agents)
    winner = find_winner(judged)
    recipe = write_recipe(session, winner) if winner else None
    contributions = measure_contributions(session, winner) if winner else ()
    report = write_report(session, agents, measured, judged, contributions)
    seconds = time.perf_counter() - start
    journal.write("sol", "end", recipe=str(recipe) if recipe else None, seconds=round(seconds, 1))
    return TuneResult(request.folder, recipe, report, judged, seconds)


def _search(session: Session) -> Mapping[str, AgentRecord]:
    orchestrator = Orchestrator(
        executor=session.executor,
        crew=session.crew,
        journal=session.journal,
        budget=session.request.budget,
        pairs=session.calibration,
        floor=session.floor,
        noise=session.noise,
        clock=time.monotonic,
    )
    return orchestrator.run(brief_agents(session))
