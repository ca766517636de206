"""What the orchestrator needs of an executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sol.errors import NoEffectError
from sol.search.records import Brief, Outcome, Proposal, WorkerInfo
from sol.search.worker import ContaminatedWorkerError, WorkerPlan

Failure = Literal["no_effect", "failed", "lost", "timeout"]
Past = tuple[Sequence[tuple[Proposal, Outcome]], Sequence[Proposal]]
"""Of one agent: its finished trials in order, and the proposals that were begun and not ended."""


@dataclass(frozen=True)
class Done:
    """A job that ended: its value, or why there is none.

    Attributes:
        failure: "no_effect" and "failed" say something of the stack; "lost" and "timeout" say that
            the worker died or did not answer, for whatever reason.
        recalled: The value was measured earlier and kept.
    """

    ticket: int
    worker: int
    value: Any = None
    failure: Failure | None = None
    reason: str = ""
    recalled: bool = False


class Executor(Protocol):
    """Runs agents, and jobs on measuring workers; a job never raises here, it ends as `Done`."""

    name: str

    def start_workers(self, plan: WorkerPlan) -> tuple[WorkerInfo, ...]:
        """Loads the target on every worker; index in the result is the worker's number."""
        ...

    def in_service(self) -> Mapping[int, WorkerInfo]:
        """The workers that can take a job now, by number, and what each found when it loaded.

        A worker that died is missing until another has loaded the target in its place, perhaps on
        another device.
        """
        ...

    def remember(self, past: Callable[[str], Past]) -> None:
        """Sets where an agent that is started anew learns what its skill has measured."""
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
        """The jobs that ended since the last call; waits for one at most `timeout_s`.

        Raises:
            SolError: No worker is in service, and none came back in time.
        """
        ...

    def close(self) -> None:
        """Ends every agent and worker. Leaves no process behind."""
        ...


def classify(error: BaseException) -> tuple[Failure, str]:
    """The kind of a trial's failure and one line about it."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[0] if isinstance(error, NoEffectError) else f"{type(error).__name__}: {lines[0]}"
    return ("no_effect" if isinstance(error, NoEffectError) else "failed"), text


def needs_new_worker(error: BaseException) -> bool:
    """Whether the worker cannot measure after this: contaminated, or with a broken CUDA context.

    After an error on the device every later call of the process fails. Memory that is used up is
    reported as "CUDA out of memory", and does no harm.
    """
    return isinstance(error, ContaminatedWorkerError) or "CUDA error" in str(error)
