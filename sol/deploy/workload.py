"""Whether a call of the pipeline is one that the recipe was measured with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sol.clock import Clock
from sol.deploy.mismatch import Mismatch, settle
from sol.models.families import get_family
from sol.target import Workload

_OWN_SCHEDULE = ("timesteps", "sigmas")
"""Arguments by which a caller sets the steps himself; how many there are, the clock knows."""
_STEPS = "num_inference_steps"


@dataclass(frozen=True)
class WorkloadCheck:
    """Compares the arguments of a call, and the number of steps that came of them.

    The arguments are those that the model's family makes of a workload (height, width, frames,
    steps, guidance), texts left out; one that was not passed counts as the pipeline's default.

    Attributes:
        overrides: Where allowed differences are recorded, those of the last call.
        at_apply: What of the workload differed before any call.
    """

    pipeline: Any
    workload: Workload
    allowed: frozenset[str]
    overrides: dict[str, str]
    at_apply: str = ""

    def check_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raises TargetMismatchError before anything is computed, with all that differs."""
        found = find_call_mismatches(self.pipeline, self.workload, args, kwargs)
        self._settle(found, self.at_apply)

    def around(
        self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Checks a call, then makes it."""
        self.check_call(args, kwargs)
        return call(*args, **kwargs)

    def check_steps(self, clock: Clock) -> None:
        """Raises TargetMismatchError where a video has begun that has other steps."""
        wanted, here = self.workload.steps, clock.n_steps
        if wanted != here:
            found = _mismatch("steps", wanted, here, f"Pass {_STEPS}={wanted}.")
            self._settle([found], self.overrides.get("workload", ""))

    def _settle(self, mismatches: Iterable[Mismatch], so_far: str) -> None:
        for check, difference in settle(mismatches, self.allowed).items():
            if difference not in so_far:
                self.overrides[check] = "; ".join(filter(None, (so_far, difference)))


def accept_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """What there is to check where no recipe says how the pipeline is called."""


def find_call_mismatches(
    pipeline: Any, workload: Workload, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[Mismatch]:
    """Arguments that have other values than the workload gives them."""
    given = _bind(pipeline, args, kwargs)
    if given is None:
        return
    for name, wanted in get_family(pipeline).arguments(pipeline, workload).items():
        if not isinstance(wanted, int | float) or name not in given:
            continue
        if name == _STEPS and any(given.get(own) is not None for own in _OWN_SCHEDULE):
            continue
        if not _is_same(given[name], wanted):
            yield _mismatch(name, wanted, given[name], f"Pass {name}={wanted}.")


def _bind(
    pipeline: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The call's arguments by name; None where there is an error for the pipeline to raise."""
    try:
        bound = inspect.signature(pipeline.__call__).bind(*args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    return bound.arguments


def _is_same(here: Any, wanted: float) -> bool:
    return isinstance(here, int | float) and here == wanted


def _mismatch(name: str, wanted: object, here: object, remedy: str) -> Mismatch:
    return Mismatch("workload", f"target.workload: {name}", str(wanted), str(here), remedy)
