"""Measuring workers as Ray actors: started where there is room, and anew where one was lost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sol.errors import SolError
from sol.search.executors.placement import WorkerNeeds, choose_n_workers
from sol.search.records import WorkerInfo
from sol.search.worker import WorkerPlan

_START_LIMIT_S = 600.0
_ROOM_CHECK_S = 1.0
"""How often workers that start are asked whether there is still room for them."""
_LOADS = 3
"""Times in a row that a worker may fail to load the target before its place is given up."""


@dataclass(eq=False)
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


class WorkerActors:
    """The workers of a run, by number.

    A worker that was lost is out of service until another actor has loaded the target in its
    place; where no node has room for one, Ray keeps it waiting and starts it when a node joins.

    Args:
        ray: The module, initialised.
        make_worker: The worker's class.
        environment: Variables of the workers' processes.
        n_workers: None for as many as the nodes have room for.
        needs: What each takes of its node.
    """

    def __init__(
        self,
        ray: Any,
        make_worker: type[Any],
        environment: Mapping[str, str],
        n_workers: int | None,
        needs: WorkerNeeds,
    ) -> None:
        self._ray = ray
        self._make_worker = make_worker
        self._environment = environment
        self._n_workers = n_workers
        self._needs = needs
        self._plan: WorkerPlan | None = None
        self._places: list[_Place] = []

    def start(self, plan: WorkerPlan) -> tuple[WorkerInfo, ...]:
        """Loads the target on every worker, all at once.

        What a node that leaves meanwhile would have held is started elsewhere; where nowhere has
        room, as many workers start as there is room for.

        Raises:
            SolError: There is no room for those asked for, or one could not load the target.
        """
        self._plan = plan
        self._needs = self._needs.resolve(self._ray.nodes())
        self._places = [self._start_place() for _ in range(self._count_room())]
        deadline = time.monotonic() + _START_LIMIT_S
        while loading := self.loading:
            if time.monotonic() > deadline:
                raise _too_slow(len(loading))
            ready, _ = self._ray.wait(loading, num_returns=len(loading), timeout=_ROOM_CHECK_S)
            self._require_loaded(ready)
            self.admit(ready)
            self._leave_out_those_without_room()
        return tuple(self.in_service().values())

    def in_service(self) -> Mapping[int, WorkerInfo]:
        """Those that have loaded the target and were not lost since."""
        places = enumerate(self._places)
        return {number: place.info for number, place in places if place.info is not None}

    @property
    def loading(self) -> list[Any]:
        """References of what is being loaded; `admit` takes those that are ready."""
        return [place.loading for place in self._places if place.loading is not None]

    def admit(self, ready: Sequence[Any]) -> None:
        """A worker that has loaded the target is in service; one that failed to may try again."""
        for place in self._places_of(ready):
            self._admit(place)

    def actor_of(self, number: int) -> Any:
        """The one that holds the place at present."""
        return self._places[number].actor

    def replace(self, number: int, actor: Any) -> None:
        """Starts another in place of `actor`; once, however often its loss is reported."""
        place = self._places[number]
        if place.actor is actor:
            self._refill(place)

    def require_one(self) -> None:
        """A run without workers would wait for ever.

        Raises:
            SolError: None is left, and the last ones could not load the target.
        """
        given_up = [place for place in self._places if place.n_failed == _LOADS]
        if given_up and len(given_up) == len(self._places):
            raise SolError(
                f"No measuring worker is left: {_LOADS} times in a row the last one could not "
                f"start. {given_up[-1].reason} What was measured is kept: resume the run when "
                "this is put right."
            )

    def close(self) -> None:
        """Kills them."""
        for place in self._places:
            self._ray.kill(place.actor)
        self._places = []

    def _count_room(self) -> int:
        return choose_n_workers(self._n_workers, self._needs, self._ray.nodes())

    def _require_loaded(self, ready: Sequence[Any]) -> None:
        """A target that cannot be loaded ends the run before it began; a lost node does not."""
        for place in self._places_of(ready):
            try:
                self._ray.get(place.loading)
            except self._ray.exceptions.RayActorError as error:
                if place.n_failed + 1 == _LOADS:
                    raise _startup_error(error) from error
            except self._ray.exceptions.RayError as error:
                raise _startup_error(error) from error

    def _leave_out_those_without_room(self) -> None:
        """Ray counts a node that has left until it has missed it for some seconds."""
        n_too_many = len(self._places) - self._count_room()
        waiting = [place for place in self._places if place.loading is not None]
        for place in waiting[: max(n_too_many, 0)]:
            self._ray.kill(place.actor)
            self._places.remove(place)

    def _places_of(self, references: Sequence[Any]) -> list[_Place]:
        return [place for place in self._places if place.loading in references]

    def _start_place(self) -> _Place:
        actor = self._start_actor()
        return _Place(actor, actor.describe.remote())

    def _start_actor(self) -> Any:
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

    def _admit(self, place: _Place) -> None:
        reference, place.loading = place.loading, None
        try:
            place.info = self._ray.get(reference)
            place.n_failed = 0
        except self._ray.exceptions.RayError as error:
            place.n_failed += 1
            place.reason = str(_startup_error(error))
            if place.n_failed < _LOADS:
                self._refill(place)

    def _refill(self, place: _Place) -> None:
        self._ray.kill(place.actor)
        place.info = None
        place.actor = self._start_actor()
        place.loading = place.actor.describe.remote()


def _startup_error(error: BaseException) -> SolError:
    cause = getattr(error, "cause", None)
    if isinstance(cause, SolError):
        return cause
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return SolError(f"A measuring worker could not start: {lines[-1]}")


def _too_slow(n_loading: int) -> SolError:
    return SolError(
        f"{n_loading} measuring worker(s) had not loaded the target after {_START_LIMIT_S:.0f} s. "
        "Ask for fewer with --workers, or see Ray's logs for what they wait for."
    )
