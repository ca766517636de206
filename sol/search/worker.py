"""A measuring worker: holds the pristine pipeline and measures stacks on clones of it.

Every method takes and returns plain data, so that a worker can be an object in this process or
a Ray actor on another machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from sol.diagnosis import Diagnosis
from sol.measure.diagnosis import diagnose
from sol.measure.fidelity import psnr, ssim
from sol.measure.guidance import EffectiveGuidance, Unmeasurable
from sol.measure.hardware import device_key, probe, versions
from sol.measure.memory import cuda_peak_bytes, weights_bytes
from sol.measure.timing import time_pairs
from sol.models.families import describe_roles
from sol.models.loading import load_model
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.search.arms import Arms, require_finite
from sol.search.arms import Pair as Pair
from sol.search.baseline import BaselineStore
from sol.search.clone_slot import CloneSlot
from sol.search.effective_guidance import compare_guidance
from sol.search.latent_probes import (
    Latents,
    latents_after_undo,
    latents_at_identity,
    latents_of_last,
    mean_latent_error,
)
from sol.search.memory_probe import measure_process_peak
from sol.search.offering import Rivals, find_offers, find_rivals
from sol.search.recording import record_videos
from sol.search.records import Offer, Quality, QualityFloor, Speed, WorkerInfo
from sol.target import Workload
from sol.technique import SpaceContext, Stack, StackItem

T = TypeVar("T")
Counts = dict[str, dict[str, int]]
"""What each technique counted."""


@dataclass(frozen=True)
class WorkerPlan:
    """What a worker loads.

    Attributes:
        overrides: Workload fields that replace the model's defaults.
        folder: Where the frozen baseline is kept; all workers of a run share it.
    """

    model: str
    device: str | None
    dtype: str | None
    overrides: Mapping[str, Any]
    folder: Path
    threads: int = 1


@dataclass(frozen=True)
class MemoryReading:
    """Bytes of weights and of the peak of one video, without and with the stack."""

    baseline_weights: int
    accelerated_weights: int
    baseline_peak: int | None
    accelerated_peak: int | None


class ContaminatedWorkerError(Exception):
    """A trial left something behind on the pristine pipeline: this worker must be replaced."""


class MeasuringWorker:
    """Loads the target once; see the methods for what it measures."""

    def __init__(self, plan: WorkerPlan) -> None:
        torch.set_num_threads(plan.threads)
        self._plan = plan
        start = time.perf_counter()
        loaded = load_model(plan.model, plan.device, plan.dtype)
        self._load_s = time.perf_counter() - start
        self._loaded = loaded
        self._pipeline = loaded.pipeline
        self._workload: Workload = loaded.workload.with_overrides(plan.overrides)
        self._pristine = fingerprint_pipeline(self._pipeline)
        self._arms = Arms(
            self._pipeline,
            self._workload,
            BaselineStore(plan.folder),
            CloneSlot(self._pipeline),
        )
        self._device = self._arms.device

    def describe(self) -> WorkerInfo:
        """What was loaded, and where."""
        hardware = probe(self._device)
        return WorkerInfo(
            model=self._loaded.model,
            hardware=hardware,
            workload=self._workload,
            prompts=self._loaded.prompts,
            device_key=device_key(self._device),
            load_s=self._load_s,
            versions=versions(),
        )

    def diagnose(self, pairs: Sequence[Pair]) -> Diagnosis:
        """Where the time and the redundancy are, from instrumented baseline runs.

        Args:
            pairs: The first is timed, all are recorded.
        """
        clone = clone_pipeline(self._pipeline)
        diagnosis = diagnose(
            lambda: render(clone, self._workload, *pairs[0]),
            describe_roles(clone),
            [clone.text_encoder],
            clone.vae,
            self._arms.synchronize,
            time.perf_counter,
        )
        return replace(diagnosis, redundancy=record_videos(clone, self._workload, pairs))

    def offers(
        self,
        skill: str,
        diagnosis: Diagnosis,
        best_rivals: Mapping[str, tuple[Mapping[str, Any], ...]],
    ) -> tuple[tuple[Offer, ...], dict[str, str]]:
        """The techniques of a skill that apply, with their spaces; the others with the reason."""
        return find_offers(skill, self._context(diagnosis), best_rivals)

    def rivals(self, skill: str, diagnosis: Diagnosis) -> Rivals:
        """What the techniques of a skill want to have run before they make their spaces."""
        return find_rivals(skill, self._context(diagnosis))

    def latent_errors(
        self, technique: str, configs: Sequence[Mapping[str, Any]], pairs: Sequence[Pair]
    ) -> tuple[float, ...]:
        """Of each config, the geometric mean of the final latents' relative error.

        Geometric: one prompt on which a small difference decides everything must not outweigh
        all others.
        """
        stacks = [(StackItem(technique, config),) for config in configs]
        return tuple(mean_latent_error(self._arms, stack, pairs) for stack in stacks)

    def _context(self, diagnosis: Diagnosis) -> SpaceContext:
        return SpaceContext(describe_roles(self._pipeline), self._workload, diagnosis)

    def make_baseline(self, pairs: Sequence[Pair]) -> tuple[float, ...]:
        """Renders and keeps what is not kept yet; seconds of each pair."""
        return tuple(self._arms.baseline(pair).seconds for pair in pairs)

    def measure_quality(self, stack: Stack, pairs: Sequence[Pair], floor: QualityFloor) -> Quality:
        """Renders the pairs and compares them with the baseline; a video below the floor ends it.

        Raises:
            NoEffectError: A technique did not engage on the first pair.
            SolError: A rendering is not finite.
        """
        applied, clone = self._arms.slot.prepare(stack)
        psnrs: list[float] = []
        ssims: list[float] = []
        ratios: list[float] = []
        for index, (prompt, seed) in enumerate(pairs):
            baseline = self._arms.baseline((prompt, seed))
            start = time.perf_counter()
            rendering = self._arms.render(clone, (prompt, seed))
            seconds = time.perf_counter() - start
            if index == 0:
                applied.require_engaged()
            require_finite(rendering)
            psnrs.append(psnr(baseline.rendering.frames, rendering.frames))
            ssims.append(ssim(baseline.rendering.frames, rendering.frames))
            ratios.append(baseline.seconds / seconds)
            if psnrs[-1] < floor.worst_psnr:
                break
        self._require_pristine()
        return Quality(
            psnr=float(np.mean(psnrs)),
            worst_psnr=min(psnrs),
            ssim=float(np.mean(ssims)),
            rough_speedup=float(np.median(ratios)),
            n=len(psnrs),
            counts={name: dict(e.counts) for name, e in applied.evidence().items()},
        )

    def measure_speed(self, stack: Stack, pair: Pair, n_pairs: int) -> Speed:
        """Paired, interleaved seconds of whole videos. Nothing else may run on the device.

        Raises:
            NoEffectError: A technique did not engage.
        """
        applied, clone = self._arms.slot.prepare(stack)
        timing = time_pairs(
            lambda: render(self._pipeline, self._workload, *pair),
            lambda: render(clone, self._workload, *pair),
            n_pairs=n_pairs,
            warmup=1,
            synchronize=self._arms.synchronize,
            clock=time.perf_counter,
            device=self._device,
        )
        applied.require_engaged()
        self._require_pristine()
        ratio = timing.speedup
        return Speed(
            median=ratio.median,
            low=ratio.low,
            high=ratio.high,
            n=ratio.n,
            baseline_s=timing.baseline_s,
            accelerated_s=timing.accelerated_s,
        )

    def measure_memory(self, stack: Stack, pair: Pair) -> MemoryReading:
        """Bytes of both arms: on a GPU the allocator's peak, on a CPU that of a fresh process."""
        _, clone = self._arms.slot.prepare(stack)
        self._arms.render(clone, pair)
        return MemoryReading(
            baseline_weights=weights_bytes(_modules(self._pipeline)),
            accelerated_weights=weights_bytes(_modules(clone)),
            baseline_peak=self._peak((), self._pipeline, pair),
            accelerated_peak=self._peak(stack, clone, pair),
        )

    def _peak(self, stack: Stack, pipeline: Any, pair: Pair) -> int | None:
        if self._device == "cpu":
            plan = self._plan
            return measure_process_peak(plan.model, self._workload, stack, pair, plan.threads)
        return cuda_peak_bytes(lambda: self._arms.render(pipeline, pair), self._device)

    def compare(
        self, stack: Stack, pair: Pair, compare: Callable[[str, int, Any, Any], T]
    ) -> tuple[T, Counts]:
        """compare(prompt, seed, baseline frames, accelerated frames) and what was counted."""
        applied, clone = self._arms.slot.prepare(stack)
        baseline = self._arms.baseline(pair)
        rendering = self._arms.render(clone, pair)
        applied.require_engaged()
        self._require_pristine()
        counts = {name: dict(e.counts) for name, e in applied.evidence().items()}
        return compare(*pair, baseline.rendering.frames, rendering.frames), counts

    def render_with(
        self,
        overrides: Mapping[str, Any],
        pair: Pair,
        compare: Callable[[str, int, Any, Any], T],
    ) -> tuple[T, Counts]:
        """`compare`, with the pristine pipeline called in another way as the accelerated arm.

        Args:
            overrides: Workload fields; what differs from the baseline's.
        """
        baseline = self._arms.baseline(pair)
        workload = self._workload.with_overrides(overrides)
        rendering = self._arms.render(self._pipeline, pair, workload)
        self._require_pristine()
        return compare(*pair, baseline.rendering.frames, rendering.frames), {}

    def effective_guidance(self, stack: Stack, pair: Pair) -> EffectiveGuidance | Unmeasurable:
        """The guidance scale that the stack's run of a pair amounts to.

        Raises:
            NoEffectError: A technique did not engage.
            GuidanceError: The stack's run does not take the baseline's steps, or is not finite.
        """
        applied, clone = self._arms.slot.prepare(stack)
        workload = self._workload
        guidance = compare_guidance(self._pipeline, workload, clone, workload, pair)
        applied.require_engaged()
        self._require_pristine()
        return guidance

    def effective_guidance_with(
        self, overrides: Mapping[str, Any], pair: Pair
    ) -> EffectiveGuidance | Unmeasurable:
        """The guidance scale to which calling the pristine pipeline in another way amounts."""
        changed = self._workload.with_overrides(overrides)
        clone = clone_pipeline(self._pipeline)
        return compare_guidance(self._pipeline, self._workload, clone, changed, pair)

    def final_latents(self, stack: Stack, pairs: Sequence[Pair]) -> Latents:
        """Latents of the last pair after making all of them in order on a fresh clone."""
        return latents_of_last(self._arms, stack, pairs)

    def latents_after_undo(self, stack: Stack, pair: Pair) -> tuple[Latents, Latents]:
        """Latents of the baseline, and of a clone on which the stack was used and undone."""
        undone = latents_after_undo(self._arms, stack, pair)
        return self._arms.baseline(pair).rendering.latents, undone

    def latents_at_identity(self, stack: Stack, pair: Pair) -> tuple[Latents, Latents]:
        """Latents of the baseline, and with every member at its identity setting."""
        at_identity = latents_at_identity(self._arms, stack, pair)
        return self._arms.baseline(pair).rendering.latents, at_identity

    def _require_pristine(self) -> None:
        if fingerprint_pipeline(self._pipeline) != self._pristine:
            raise ContaminatedWorkerError("The pristine pipeline was changed by a trial.")


def _modules(pipeline: Any) -> list[torch.nn.Module]:
    return [p for p in pipeline.components.values() if isinstance(p, torch.nn.Module)]
