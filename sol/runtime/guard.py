"""A guard at run time: a video that the stack cannot make well is made without it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sol.clock import Clock
from sol.errors import ConfigError, NotApplicableError, TargetMismatchError
from sol.runtime.call_start import keep_call_start
from sol.runtime.engagement import find_disengaged
from sol.runtime.finite import is_finite
from sol.runtime.plain_denoisers import with_denoisers
from sol.scheduler_step import wrap_scheduler
from sol.technique import Evidence

_LOG = logging.getLogger("sol")
_OUT_OF_RANGE = (TargetMismatchError, ConfigError, NotApplicableError)
"""The recipe's refusal of a workload, and a technique's."""


@dataclass(frozen=True)
class _Fault:
    """Why a video was made again.

    Attributes:
        reason: The same for all videos with this fault.
        detail: What is said of the first of them.
    """

    reason: str
    detail: str


@dataclass
class Guard:
    """Tries the stack on every video, and falls back to the plain denoisers where it fails.

    A video that leaves the range of the recipe, or of a technique, is made without the stack as
    soon as that is seen. One that is not finite, or in which a technique did nothing, is made
    again, from the same arguments and random state: it takes the time of both, and a
    `callback_on_step_end` sees both. That a video is not finite is seen at its end: until then,
    watching costs no wait for the device. Errors of the pipeline go through to the caller.

    Attributes:
        plain: See `copy_denoisers`.
        evidence: What the techniques have counted so far.
        check_call: Raises TargetMismatchError for arguments outside of the recipe's range.
        fallbacks: How many videos were made without the stack, by reason.
    """

    pipeline: Any
    plain: Mapping[str, nn.Module]
    clock: Clock
    evidence: Callable[[], Mapping[str, Evidence]]
    check_call: Callable[[tuple[Any, ...], Mapping[str, Any]], None]
    fallbacks: Counter[str] = field(default_factory=Counter)

    def around(
        self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Makes one video; the pipeline's own call is `call`."""
        start = keep_call_start(args, kwargs)
        result, fault = self._try(call, args, kwargs)
        if fault is None:
            return result
        del result
        self._note(fault)
        args, kwargs = start.rewind()
        with with_denoisers(self.pipeline, self.plain, self.clock):
            return call(*args, **kwargs)

    def _try(
        self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, _Fault | None]:
        before = self.evidence()
        try:
            self.check_call(args, kwargs)
            with self._watched_latents() as latents:
                result = call(*args, **kwargs)
        except _OUT_OF_RANGE as error:
            return None, _Fault("workload", str(error))
        return result, self._find_fault(before, latents, result)

    def _find_fault(
        self, before: Mapping[str, Evidence], latents: list[Any], result: Any
    ) -> _Fault | None:
        if not is_finite(latents) or not is_finite(result):
            return _Fault("not finite", "The video has values that are not finite.")
        after = self.evidence()
        for name in find_disengaged(before, after):
            said = f"{name} did nothing in the video: {dict(after[name].counts)} so far."
            return _Fault(f"not engaged: {name}", said)
        return None

    @contextmanager
    def _watched_latents(self) -> Iterator[list[torch.Tensor]]:
        """What the scheduler returned last: a NaN of any step is still in it."""
        last: list[torch.Tensor] = []

        def step(
            original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            result = original(*args, **kwargs)
            last[:] = [result[0]]
            return result

        undo = wrap_scheduler(self.pipeline.scheduler, "step", step)
        try:
            yield last
        finally:
            undo()

    def _note(self, fault: _Fault) -> None:
        self.fallbacks[fault.reason] += 1
        if self.fallbacks[fault.reason] == 1:
            _LOG.warning(
                "A video is made without the stack (%s): %s Further ones are counted only.",
                fault.reason,
                fault.detail,
            )
