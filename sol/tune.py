"""The whole flow, top to bottom: baseline, agents, composition, gate, recipe, report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.search.executors.base import Executor
from sol.search.journal import Journal
from sol.stages.choose import choose_stack
from sol.stages.interactions import describe_interactions
from sol.stages.judge import Judged, find_winner
from sol.stages.recipe import write_recipe
from sol.stages.report import write_report
from sol.stages.request import TuneRequest
from sol.stages.search import search
from sol.stages.start import prepare_search, start_session


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
    briefing = prepare_search(session)
    found = search(session, briefing)
    choice = choose_stack(session, found)
    winner = find_winner(choice.judged)
    recipe = write_recipe(session, winner) if winner else None
    report = write_report(
        session,
        found.agents,
        choice.measured,
        tuple(choice.judged),
        tuple(choice.contributions),
        describe_interactions(found.composer),
        briefing.prospects,
    )
    seconds = time.perf_counter() - start
    journal.write("sol", "end", recipe=str(recipe) if recipe else None, seconds=round(seconds, 1))
    return TuneResult(request.folder, recipe, report, tuple(choice.judged), seconds)
