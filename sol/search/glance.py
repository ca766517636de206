"""A glance at a stack: single calls of the denoiser, then one prompt's run, watched step by step.

A run that is lost ends at the step that shows it; one whose latents are too far off ends before
they are decoded. One that goes all the way is no loss: it is the first video of the trial, and is
handed on.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from sol.measure.fidelity import relative_l2
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import denoise, render
from sol.search.arms import Arms, Pair
from sol.search.calibration import Made
from sol.search.call_errors import RecordedCall, call_error_of, record_calls
from sol.search.ladder import is_in_band
from sol.search.latent_probes import Latents
from sol.search.records import Glance, GlanceLimits
from sol.skills.registry import get_technique
from sol.technique import Seam, Stack, Technique

_WITHIN_CALLS = frozenset(
    {
        Seam.FEED_FORWARD_PRECISION,
        Seam.ATTENTION_PRECISION,
        Seam.ATTENTION_PATTERN,
        Seam.ATTENTION_BACKEND,
    }
)
_SMALLEST_UPDATE = 1e-30


class _RunEnded(Exception):
    """The watched run need not go on."""


@dataclass
class _Watch:
    """Looks at the latents after each step.

    Attributes:
        updates: Sizes of the baseline's updates, from its second step on.
        reference: The baseline's final latents.
        limit: The relative error of the final latents from which frames are not worth making.
    """

    updates: tuple[float, ...]
    reference: Latents
    limit: float
    steps: int = 0
    shares: list[float] = field(default_factory=list)
    is_finite: bool = True
    error: float | None = None
    _before: torch.Tensor | None = None

    def look(self, step: int, latents: torch.Tensor) -> None:
        """Ends the run where it is lost."""
        self.steps = step + 1
        self.is_finite = bool(torch.isfinite(latents).all())
        if not self.is_finite:
            raise _RunEnded
        self._compare_update(step, latents)
        self._before = latents.clone()
        if step == len(self.updates):
            self._compare_end(latents)

    def _compare_update(self, step: int, latents: torch.Tensor) -> None:
        if self._before is None or self._before.shape != latents.shape:
            return
        size = _size(latents - self._before)
        share = size / max(self.updates[step - 1], _SMALLEST_UPDATE)
        self.shares.append(share)
        if not is_in_band(share):
            raise _RunEnded

    def _compare_end(self, latents: torch.Tensor) -> None:
        reference = torch.from_numpy(self.reference)
        self.error = relative_l2(reference, latents.float().cpu())
        if self.error >= self.limit:
            raise _RunEnded


@dataclass(frozen=True)
class Glancer:
    """Glances at stacks; keeps of the baseline what they are compared with.

    The baseline is run once more a pair for the sizes of its updates, and once more for calls
    where a stack shows in those.
    """

    arms: Arms
    _updates: dict[Pair, tuple[float, ...]] = field(default_factory=dict)
    _calls: dict[Pair, tuple[RecordedCall, ...]] = field(default_factory=dict)

    def glance(self, stack: Stack, pair: Pair, limits: GlanceLimits) -> tuple[Glance, Made | None]:
        """What was seen, and the video if it was made.

        Raises:
            NoEffectError: A technique did not engage.
        """
        start = time.perf_counter()
        call_error = self._find_call_error(stack, pair)
        if call_error is not None and not call_error < limits.call_error:
            seconds = time.perf_counter() - start
            is_finite = math.isfinite(call_error)
            return Glance(call_error, None, 0, None, None, is_finite, seconds), None
        reference = self.arms.baseline(pair).rendering.latents
        watch = _Watch(self._updates_of(pair), reference, limits.latent_error)
        made = self._run(stack, pair, watch)
        shares = watch.shares
        glance = Glance(
            call_error=call_error,
            latent_error=watch.error,
            steps=watch.steps,
            least_update=min(shares, default=None),
            most_update=max(shares, default=None),
            is_finite=watch.is_finite,
            seconds=time.perf_counter() - start,
        )
        return glance, made

    def _run(self, stack: Stack, pair: Pair, watch: _Watch) -> Made | None:
        arms = self.arms
        applied, clone = arms.slot.prepare(stack)
        start = time.perf_counter()
        try:
            rendering = render(clone, arms.workload, *pair, watch.look)
        except _RunEnded:
            # In the middle of a video: nothing else is measured on this clone.
            arms.slot.drop()
            return None
        arms.synchronize()
        applied.require_engaged()
        return Made(rendering, time.perf_counter() - start)

    def _find_call_error(self, stack: Stack, pair: Pair) -> float | None:
        """On a clone of its own: what a technique counts there is no evidence of a video."""
        if not stack or not all(_shows_in_calls(get_technique(i.technique)) for i in stack):
            return None
        clone = clone_pipeline(self.arms.pristine)
        if pair not in self._calls:
            self._calls[pair] = record_calls(clone, self.arms.workload, pair)
        # None for zero: what is calibrated in a first video changes nothing before it.
        return call_error_of(clone, stack, self._calls[pair]) or None

    def _updates_of(self, pair: Pair) -> tuple[float, ...]:
        if pair not in self._updates:
            self._updates[pair] = _measure_updates(self.arms, pair)
        return self._updates[pair]


def _shows_in_calls(technique: Technique) -> bool:
    """Whether what it does to a video is done within each call, and is more than rounding."""
    return technique.exactness == "lossy" and technique.writes <= _WITHIN_CALLS


def _measure_updates(arms: Arms, pair: Pair) -> tuple[float, ...]:
    """Sizes of the updates of the baseline's latents, from the second step on."""
    sizes: list[float] = []
    before: list[torch.Tensor] = []

    def note(_: int, latents: torch.Tensor) -> torch.Tensor:
        if before:
            sizes.append(_size(latents - before[0]))
        before[:] = [latents.clone()]
        return latents

    denoise(arms.pristine, arms.workload, *pair, note)
    return tuple(sizes)


def _size(update: Any) -> float:
    return float(torch.linalg.vector_norm(update.float()))
