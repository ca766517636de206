"""Everything in this process, one job at a time. For machines without Ray, and for tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from sol.search.agent import SkillAgent
from sol.search.executors.base import Done, Past, classify
from sol.search.records import Brief, WorkerInfo
from sol.search.worker import ContaminatedWorkerError, MeasuringWorker, WorkerPlan


class InlineExecutor:
    """One worker, made by `make_worker`. Jobs run when they are waited for."""

    name = "inline"

    def __init__(self, make_worker: Callable[[WorkerPlan], Any] = MeasuringWorker) -> None:
        self._make_worker = make_worker
        self._plan: WorkerPlan | None = None
        self._worker: Any = None
        self._info: WorkerInfo | None = None
        self._agents: dict[str, SkillAgent] = {}
        self._queue: deque[tuple[int, str, tuple[Any, ...]]] = deque()
        self._tickets = 0

    def start_workers(self, plan: WorkerPlan) -> tuple[WorkerInfo, ...]:
        """Loads the target in this process."""
        self._plan = plan
        self._worker = self._make_worker(plan)
        self._info = self._worker.describe()
        return (self._info,)

    def in_service(self) -> Mapping[int, WorkerInfo]:
        """The one worker, once it was started."""
        return {} if self._info is None else {0: self._info}

    def remember(self, past: Callable[[str], Past]) -> None:
        """No effect: an agent in this process lives as long as the run."""

    def start_agent(self, brief: Brief) -> None:
        """Makes the agent."""
        self._agents[brief.skill] = SkillAgent(brief)

    def ask_agent(self, skill: str, method: str, *args: Any) -> Any:
        """Calls the agent."""
        return getattr(self._agents[skill], method)(*args)

    def submit(self, worker: int, method: str, *args: Any, limit_s: float) -> int:
        """Queues the call. A running call cannot be interrupted here: `limit_s` has no effect."""
        self._tickets += 1
        self._queue.append((self._tickets, method, args))
        return self._tickets

    def wait(self, timeout_s: float) -> list[Done]:
        """Runs the oldest queued job."""
        if not self._queue:
            return []
        ticket, method, args = self._queue.popleft()
        try:
            return [Done(ticket, 0, value=getattr(self._worker, method)(*args))]
        except Exception as error:  # noqa: BLE001 the trial boundary: the reason is recorded
            if isinstance(error, ContaminatedWorkerError) and self._plan is not None:
                self._worker = self._make_worker(self._plan)
            failure, reason = classify(error)
            return [Done(ticket, 0, failure=failure, reason=reason)]

    def close(self) -> None:
        """Drops the worker and the agents."""
        self._queue.clear()
        self._agents.clear()
        self._worker, self._info = None, None
