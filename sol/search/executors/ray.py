"""Jobs of workers and agents that are Ray actors. The only module that imports Ray."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from sol.errors import SolError
from sol.search.executors.agent_actors import AgentActors
from sol.search.executors.base import Done, Failure, Past, classify, needs_new_worker
from sol.search.executors.cluster_address import no_cluster, require_reachable
from sol.search.executors.placement import WorkerNeeds
from sol.search.executors.reaper import Reaper
from sol.search.executors.worker_actors import WorkerActors
from sol.search.records import Brief, WorkerInfo
from sol.search.worker import MeasuringWorker, WorkerPlan

_ONE_WORKER = WorkerNeeds()


@dataclass(frozen=True)
class _Job:
    ticket: int
    worker: int
    actor: Any
    deadline: float


class RayExecutor:
    """Starts a local Ray, or joins the cluster at `address`.

    Args:
        n_workers: Measuring workers; None for as many as the nodes have room for.
        needs: What each worker takes of its node.
        make_worker: The worker's class.
        make_agent: The agent's class; None for `SkillAgent`.
        module_paths: Folders on the import path of their processes.

    Raises:
        SolError: Ray is not installed, or there is no cluster at `address`.
    """

    name = "ray"

    def __init__(
        self,
        n_workers: int | None,
        needs: WorkerNeeds = _ONE_WORKER,
        address: str | None = None,
        make_worker: type[Any] = MeasuringWorker,
        make_agent: type[Any] | None = None,
        module_paths: tuple[str, ...] = (),
    ) -> None:
        self._ray = _import_ray()
        self._jobs: dict[Any, _Job] = {}
        self._tickets = 0
        self._reaper = Reaper() if address is None else None
        self._join(address, None if n_workers is None else n_workers * needs.cpus)
        paths = {"PYTHONPATH": os.pathsep.join(module_paths)} if module_paths else {}
        self._workers = WorkerActors(self._ray, make_worker, paths, n_workers, needs)
        self._agents = AgentActors(self._ray, make_agent, paths)

    def start_workers(self, plan: WorkerPlan) -> tuple[WorkerInfo, ...]:
        """Loads the target on every worker, all at once.

        Raises:
            SolError: There is no room for those asked for, or one could not load the target.
        """
        return self._workers.start(plan)

    def in_service(self) -> Mapping[int, WorkerInfo]:
        """Those that have loaded the target and were not lost since."""
        return self._workers.in_service()

    def remember(self, past: Callable[[str], Past]) -> None:
        """Sets where an agent that is started anew learns what its skill has measured."""
        self._agents.remember(past)

    def start_agent(self, brief: Brief) -> None:
        """Starts an actor on the driver's own node."""
        self._agents.start(brief)

    def ask_agent(self, skill: str, method: str, *args: Any) -> Any:
        """Calls the agent and waits; one that died is started anew, recalls, and is asked again.

        Raises:
            SolError: It died again of the same question.
        """
        return self._agents.ask(skill, method, *args)

    def submit(self, worker: int, method: str, *args: Any, limit_s: float) -> int:
        """Starts a job; a worker that is not done after `limit_s` is replaced."""
        self._tickets += 1
        actor = self._workers.actor_of(worker)
        reference = getattr(actor, method).remote(*args)
        self._jobs[reference] = _Job(self._tickets, worker, actor, time.monotonic() + limit_s)
        return self._tickets

    def wait(self, timeout_s: float) -> list[Done]:
        """The jobs that ended, failed, or ran out of time.

        Raises:
            SolError: No worker is left, and the last ones could not load the target.
        """
        self._workers.require_one()
        loading = self._workers.loading
        if not self._jobs and not loading:
            return []
        ready, _ = self._ray.wait([*self._jobs, *loading], num_returns=1, timeout=timeout_s)
        done = [self._collect(reference) for reference in ready if reference in self._jobs]
        self._workers.admit(ready)
        now = time.monotonic()
        late = [reference for reference, job in self._jobs.items() if job.deadline < now]
        return done + [self._give_up(reference) for reference in late]

    def close(self) -> None:
        """Kills the actors and leaves Ray; a local Ray ends with all its processes."""
        self._workers.close()
        self._agents.close()
        self._jobs = {}
        self._ray.shutdown()
        if self._reaper is not None:
            self._reaper.close()
            self._reaper = None

    def _join(self, address: str | None, n_cpus: int | None) -> None:
        # Named, or Ray would join whatever cluster was started on this machine last.
        local = {"address": "local", "num_cpus": n_cpus, "include_dashboard": False}
        arguments: dict[str, Any] = {"address": address} if address else local
        if address is not None:
            require_reachable(address)
        # Ray's own handler ends the process without giving the run a chance to close.
        ours = signal.getsignal(signal.SIGTERM)
        try:
            with nullcontext() if self._reaper is None else self._reaper.marking():
                self._ray.init(log_to_driver=False, logging_level=logging.ERROR, **arguments)
        except (ConnectionError, RuntimeError) as error:
            if address is None:
                raise
            raise no_cluster(address, str(error).splitlines()[0]) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, ours)

    def _collect(self, reference: Any) -> Done:
        job = self._jobs.pop(reference)
        errors = self._ray.exceptions
        try:
            return Done(job.ticket, job.worker, value=self._ray.get(reference))
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if needs_new_worker(cause):
                self._replace(job)
            failure, reason = classify(cause)
        except errors.OutOfMemoryError as error:
            self._replace(job)
            failure, reason = "lost", f"the worker ran out of memory: {_first_line(error)}"
        except errors.RayError as error:
            self._replace(job)
            failure, reason = "lost", f"the worker died: {_first_line(error)}"
        return Done(job.ticket, job.worker, failure=failure, reason=reason)

    def _give_up(self, reference: Any) -> Done:
        job = self._jobs.pop(reference)
        self._replace(job)
        failure: Failure = "timeout"
        return Done(job.ticket, job.worker, failure=failure, reason="no answer within its limit")

    def _replace(self, job: _Job) -> None:
        self._workers.replace(job.worker, job.actor)


def _import_ray() -> Any:
    # Read by Ray when it is imported and when its workers start.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise SolError(
            "Ray is not installed: pip install 'sol-tuner[tune]', or pass --executor inline."
        ) from None
    return ray


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
