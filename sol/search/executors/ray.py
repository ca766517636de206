"""Agents and workers as Ray actors. The only module that imports Ray."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any

from sol.errors import SolError
from sol.search.executors.base import Done, Failure, classify
from sol.search.records import Brief, WorkerInfo
from sol.search.worker import ContaminatedWorkerError, MeasuringWorker, WorkerPlan

_START_LIMIT_S = 600.0


@dataclass(frozen=True)
class _Job:
    ticket: int
    worker: int
    deadline: float


class RayExecutor:
    """Starts a local Ray, or joins the cluster at `address`.

    Args:
        n_workers: Measuring workers; each takes one CPU, and one GPU if `gpus` is 1.
        make_worker: The worker's class.
        module_paths: Folders that worker processes add to their import path.

    Raises:
        SolError: Ray is not installed.
    """

    name = "ray"

    def __init__(
        self,
        n_workers: int,
        gpus: int = 0,
        address: str | None = None,
        make_worker: type[Any] = MeasuringWorker,
        module_paths: tuple[str, ...] = (),
    ) -> None:
        self._ray = _import_ray()
        self._make_worker = make_worker
        self._module_paths = module_paths
        self._n_workers = n_workers
        self._gpus = gpus
        self._plan: WorkerPlan | None = None
        self._workers: list[Any] = []
        self._agents: dict[str, Any] = {}
        self._jobs: dict[Any, _Job] = {}
        self._tickets = 0
        arguments: dict[str, Any] = (
            {"address": address}
            if address
            else {"num_cpus": n_workers, "include_dashboard": False}
        )
        # Ray's own handler ends the process without giving the run a chance to close.
        ours = signal.getsignal(signal.SIGTERM)
        self._ray.init(log_to_driver=False, logging_level=logging.ERROR, **arguments)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)

    def start_workers(self, plan: WorkerPlan) -> tuple[WorkerInfo, ...]:
        """Loads the target on every worker, all at once."""
        self._plan = plan
        self._workers = [self._start_worker() for _ in range(self._n_workers)]
        try:
            infos = self._ray.get(
                [worker.describe.remote() for worker in self._workers], timeout=_START_LIMIT_S
            )
        except self._ray.exceptions.RayError as error:
            raise _startup_error(error) from error
        return tuple(infos)

    def start_agent(self, brief: Brief) -> None:
        """Starts an actor that takes no CPU: it only decides."""
        from sol.search.agent import SkillAgent

        actor = self._ray.remote(SkillAgent)
        self._agents[brief.skill] = actor.options(num_cpus=0).remote(brief)

    def ask_agent(self, skill: str, method: str, *args: Any) -> Any:
        """Calls the agent and waits."""
        return self._ray.get(getattr(self._agents[skill], method).remote(*args))

    def submit(self, worker: int, method: str, *args: Any, limit_s: float) -> int:
        """Starts a job; a worker that is not done after `limit_s` is replaced."""
        self._tickets += 1
        reference = getattr(self._workers[worker], method).remote(*args)
        self._jobs[reference] = _Job(self._tickets, worker, time.monotonic() + limit_s)
        return self._tickets

    def wait(self, timeout_s: float) -> list[Done]:
        """The jobs that ended, failed, or ran out of time."""
        if not self._jobs:
            return []
        ready, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=timeout_s)
        done = [self._collect(reference) for reference in ready]
        now = time.monotonic()
        late = [reference for reference, job in self._jobs.items() if job.deadline < now]
        return done + [self._give_up(reference) for reference in late]

    def close(self) -> None:
        """Kills the actors and leaves Ray; a local Ray ends with all its processes."""
        for actor in (*self._workers, *self._agents.values()):
            self._ray.kill(actor)
        self._workers, self._agents, self._jobs = [], {}, {}
        self._ray.shutdown()

    def _start_worker(self) -> Any:
        plan = self._plan
        threads = str(plan.threads) if plan else "1"
        # Before torch is imported: its thread pool is made once.
        environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if self._module_paths:
            environment["PYTHONPATH"] = os.pathsep.join(self._module_paths)
        actor = self._ray.remote(self._make_worker).options(
            num_cpus=1, num_gpus=self._gpus, runtime_env={"env_vars": environment}
        )
        return actor.remote(plan)

    def _collect(self, reference: Any) -> Done:
        job = self._jobs.pop(reference)
        try:
            return Done(job.ticket, job.worker, value=self._ray.get(reference))
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if isinstance(cause, ContaminatedWorkerError):
                self._replace(job.worker)
            failure, reason = classify(cause)
        except self._ray.exceptions.RayActorError as error:
            self._replace(job.worker)
            failure, reason = "lost", f"the worker died: {str(error).splitlines()[0]}"
        return Done(job.ticket, job.worker, failure=failure, reason=reason)

    def _give_up(self, reference: Any) -> Done:
        job = self._jobs.pop(reference)
        self._replace(job.worker)
        failure: Failure = "timeout"
        return Done(job.ticket, job.worker, failure=failure, reason="no answer within its limit")

    def _replace(self, worker: int) -> None:
        self._ray.kill(self._workers[worker])
        self._workers[worker] = self._start_worker()


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


def _startup_error(error: BaseException) -> SolError:
    cause = getattr(error, "cause", None)
    if isinstance(cause, SolError):
        return cause
    return SolError(f"A measuring worker could not start: {str(error).splitlines()[-1]}")
