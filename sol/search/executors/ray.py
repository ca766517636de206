"""Workers and agents as Ray actors. The only module that imports Ray."""

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
from sol.search.executors.placement import WorkerNeeds, choose_n_workers
from sol.search.executors.reaper import Reaper
from sol.search.records import Brief, WorkerInfo
from sol.search.worker import MeasuringWorker, WorkerPlan

_START_LIMIT_S = 600.0
_LOADS = 3
"""Times in a row that a worker may fail to load the target before its place is given up."""

_ONE_WORKER = WorkerNeeds()


@dataclass(frozen=True)
class _Job:
    ticket: int
    worker: int
    actor: Any
    deadline: float


@dataclass
class _Place:
    """A worker's number in the crew, and the actor that holds it at present.

    Attributes:
        loading: Reference to what `describe` will answer; None once it has.
        info: None while the worker is out of service.
        n_failed: Loads in a row that failed.
        reason: Of the last one.
    """

    actor: Any
    loading: Any
    info: WorkerInfo | None = None
    n_failed: int = 0
    reason: str = ""


class RayExecutor:
    """Starts a local Ray, or joins the cluster at `address`.

    Workers run wherever there is room. A worker that was lost is out of service until another
    actor has loaded the target in its place; where no node has room for one, Ray keeps it waiting
    and starts it when a node joins.

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
        self._make_worker = make_worker
        self._environment = {"PYTHONPATH": os.pathsep.join(module_paths)} if module_paths else {}
        self._n_workers = n_workers
        self._needs = needs
        self._plan: WorkerPlan | None = None
        self._places: list[_Place] = []
        self._jobs: dict[Any, _Job] = {}
        self._tickets = 0
        self._reaper = Reaper() if address is None else None
        self._join(address)
        self._agents = AgentActors(self._ray, make_agent, self._environment)

    def start_workers(self, plan: WorkerPlan) -> tuple[WorkerInfo, ...]:
        """Loads the target on every worker, all at once.

        Raises:
            SolError: There is no room for them, or one could not load the target.
        """
        self._plan = plan
        nodes = self._ray.nodes()
        self._needs = self._needs.resolve(nodes)
        n_workers = choose_n_workers(self._n_workers, self._needs, nodes)
        self._places = [self._load_on(self._start_worker()) for _ in range(n_workers)]
        references = [place.loading for place in self._places]
        try:
            infos: list[WorkerInfo] = self._ray.get(references, timeout=_START_LIMIT_S)
        except self._ray.exceptions.RayError as error:
            raise _startup_error(error) from error
        for place, info in zip(self._places, infos, strict=True):
            place.loading, place.info = None, info
        return tuple(infos)

    def in_service(self) -> Mapping[int, WorkerInfo]:
        """Those that have loaded the target and were not lost since."""
        places = enumerate(self._places)
        return {number: place.info for number, place in places if place.info is not None}

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
        actor = self._places[worker].actor
        reference = getattr(actor, method).remote(*args)
        self._jobs[reference] = _Job(self._tickets, worker, actor, time.monotonic() + limit_s)
        return self._tickets

    def wait(self, timeout_s: float) -> list[Done]:
        """The jobs that ended, failed, or ran out of time.

        Raises:
            SolError: No worker is left, and the last ones could not load the target.
        """
        self._require_places()
        loading = [place.loading for place in self._places if place.loading is not None]
        if not self._jobs and not loading:
            return []
        ready, _ = self._ray.wait([*self._jobs, *loading], num_returns=1, timeout=timeout_s)
        done = [self._collect(reference) for reference in ready if reference in self._jobs]
        for place in [place for place in self._places if place.loading in ready]:
            self._admit(place)
        now = time.monotonic()
        late = [reference for reference, job in self._jobs.items() if job.deadline < now]
        return done + [self._give_up(reference) for reference in late]

    def close(self) -> None:
        """Kills the actors and leaves Ray; a local Ray ends with all its processes."""
        for place in self._places:
            self._ray.kill(place.actor)
        self._agents.close()
        self._places, self._jobs = [], {}
        self._ray.shutdown()
        if self._reaper is not None:
            self._reaper.close()
            self._reaper = None

    def _join(self, address: str | None) -> None:
        n_cpus = None if self._n_workers is None else self._n_workers * self._needs.cpus
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

    def _start_worker(self) -> Any:
        threads = str(self._plan.threads) if self._plan else "1"
        # Before torch is imported: its thread pool is made once.
        pools = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        actor = self._ray.remote(self._make_worker).options(
            **self._needs.options,
            # Over as many hosts as there are: each is a device on which a timing can be alone.
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": {**self._environment, **pools}},
        )
        return actor.remote(self._plan)

    def _load_on(self, actor: Any) -> _Place:
        return _Place(actor, actor.describe.remote())

    def _admit(self, place: _Place) -> None:
        """A worker that has loaded the target is in service; one that failed to may try again."""
        reference, place.loading = place.loading, None
        try:
            place.info = self._ray.get(reference)
            place.n_failed = 0
        except self._ray.exceptions.RayError as error:
            place.n_failed += 1
            place.reason = str(_startup_error(error))
            if place.n_failed < _LOADS:
                self._refill(place)

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
        """Once for each actor, however many jobs it had."""
        place = self._places[job.worker]
        if place.actor is job.actor:
            self._refill(place)

    def _refill(self, place: _Place) -> None:
        self._ray.kill(place.actor)
        place.info = None
        place.actor = self._start_worker()
        place.loading = place.actor.describe.remote()

    def _require_places(self) -> None:
        given_up = [place for place in self._places if place.n_failed == _LOADS]
        if given_up and len(given_up) == len(self._places):
            raise SolError(
                f"No measuring worker is left: {_LOADS} times in a row the last one could not "
                f"start. {given_up[-1].reason} What was measured is kept: resume the run when "
                "this is put right."
            )


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
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return SolError(f"A measuring worker could not start: {lines[-1]}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
