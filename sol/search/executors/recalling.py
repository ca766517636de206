"""Answers from the ledger what is known, and asks workers for the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from sol.search.executors.base import Done, Executor, Past
from sol.search.ledger import Ledger
from sol.search.records import Brief, WorkerInfo
from sol.search.worker import WorkerPlan


class RecallingExecutor:
    """An executor in front of another one; what ends is in the ledger before it is reported."""

    def __init__(self, executor: Executor, ledger: Ledger) -> None:
        self._executor = executor
        self._ledger = ledger
        self.name = executor.name
        self._asked: dict[int, tuple[str, tuple[Any, ...]]] = {}
        self._recalled: deque[Done] = deque()
        self._n_recalled = 0

    def start_workers(self, plan: WorkerPlan) -> tuple[WorkerInfo, ...]:
        """Starts them, and checks that they are of the ledger's target.

        Raises:
            SolError: The ledger was measured on another target.
        """
        infos = self._executor.start_workers(plan)
        self._ledger.bind(infos[0])
        return infos

    def in_service(self) -> Mapping[int, WorkerInfo]:
        """The workers that can take a job now."""
        return self._executor.in_service()

    def remember(self, past: Callable[[str], Past]) -> None:
        """Sets where an agent that is started anew learns what its skill has measured."""
        self._executor.remember(past)

    def start_agent(self, brief: Brief) -> None:
        """Starts the agent of one skill."""
        self._executor.start_agent(brief)

    def ask_agent(self, skill: str, method: str, *args: Any) -> Any:
        """Calls a method of an agent and waits for its answer."""
        return self._executor.ask_agent(skill, method, *args)

    def submit(self, worker: int, method: str, *args: Any, limit_s: float) -> int:
        """Starts a job, or lays its known answer ready; a recalled job's ticket is negative."""
        known = self._ledger.find(method, args)
        if known is None:
            ticket = self._executor.submit(worker, method, *args, limit_s=limit_s)
            self._asked[ticket] = (method, args)
            return ticket
        self._n_recalled += 1
        ticket = -self._n_recalled
        self._recalled.append(
            Done(ticket, worker, known.value, known.failure, known.reason, recalled=True)
        )
        return ticket

    def wait(self, timeout_s: float) -> list[Done]:
        """The recalled jobs at once; else those that ended, each kept first."""
        if self._recalled:
            recalled = list(self._recalled)
            self._recalled.clear()
            return recalled
        ended = self._executor.wait(timeout_s)
        for done in ended:
            self._ledger.keep(*self._asked.pop(done.ticket), done)
        return ended

    def close(self) -> None:
        """Ends every agent and worker."""
        self._executor.close()
