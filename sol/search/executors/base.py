"""What the orchestrator needs of an executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sol.errors import NoEffectError
from sol.search.records import Brief, WorkerInfo
from sol.search.worker import WorkerPlan

Failure = Literal["no_effect", "failed", "lost", "timeout"]


@dataclass(frozen=True)
class Done:
    """A job that ended: its value, or why there is none."""

    ticket: int
    worker: int
    value: Any = None
    failure: Failure | None = None
    reason: str = ""


class Executor(Protocol):
    """Runs agents, and jobs on measuring workers; a job never raises here, it ends as `Done`."""

    name: str

    def start_workers(self, plan: WorkerPlan) -> tuple[WorkerInfo, ...]:
        """Loads the target on every worker; index in the result is the worker's number."""
        ...

    def start_agent(self, brief: Brief) -> None:
        """Starts the agent of one skill."""
        ...

    def ask_agent(self, skill: str, method: str, *args: Any) -> Any:
        """Calls a method of an agent and waits for its answer."""
        ...

    def submit(self, worker: int, method: str, *args: Any, limit_s: float) -> int:
        """Starts a method of a worker; the ticket comes back in a `Done`."""
        ...

    def wait(self, timeout_s: float) -> list[Done]:
        """The jobs that ended since the last call; waits for one at most `timeout_s`."""
        ...

    def close(self) -> None:
        """Ends every agent and worker. Leaves no process behind."""
        ...


def classify(error: BaseException) -> tuple[Failure, str]:
    """The kind of a trial's failure and one line about it."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[0] if isinstance(error, NoEffectError) else f"{type(error).__name__}: {lines[0]}"
    return ("no_effect" if isinstance(error, NoEffectError) else "failed"), text
