"""A measuring worker: holds the pristine pipeline and measures stacks on clones of it.

Every method takes and returns plain data, so that a worker can be an object in this process or
a Ray actor on another machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from sol.diagnosis import Diagnosis
from sol.errors import SolError
from sol.measure.diagnosis import diagnose
from sol.measure.fidelity import psnr, relative_l2, ssim
from sol.measure.hardware import device_key, probe, versions
from sol.measure.memory import cuda_peak_bytes, weights_bytes
from sol.measure.timing import time_pairs
from sol.models.families import describe_roles
from sol.models.loading import load_model
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import Rendering, render
from sol.search.baseline import BaselineRun, BaselineStore
from sol.search.clone_slot import CloneSlot
from sol.search.memory_probe import measure_process_peak
from sol.search.offering import Rivals, find_offers, find_rivals
from sol.search.recording import record_videos
from sol.search.records import Offer, Quality, QualityFloor, Speed, WorkerInfo
from sol.target import Workload
from sol.technique import SpaceContext, Stack, StackItem

T = TypeVar("T")
Pair = tuple[str, int]
"""Prompt and seed."""


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
        self._store = BaselineStore(plan.folder)
        self._pristine = fingerprint_pipeline(self._pipeline)
        self._device = str(self._pipeline.device.type)
        self._slot = CloneSlot(self._pipeline)

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
            self._synchronize,
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
        return tuple(self._latent_error(StackItem(technique, config), pairs) for config in configs)

    def _latent_error(self, item: StackItem, pairs: Sequence[Pair]) -> float:
        _, clone = self._slot.prepare((item,))
        errors = []
        for pair in pairs:
            reference = self._baseline(*pair).rendering.latents
            latents = self._render(clone, *pair).latents
            errors.append(relative_l2(torch.from_numpy(reference), torch.from_numpy(latents)))
        return math.exp(float(np.mean([math.log(max(error, 1e-12)) for error in errors])))

    def _context(self, diagnosis: Diagnosis) -> SpaceContext:
        return SpaceContext(describe_roles(self._pipeline), self._workload, diagnosis)

    def make_baseline(self, pairs: Sequence[Pair]) -> tuple[float, ...]:
        """Renders and keeps what is not kept yet; seconds of each pair."""
        return tuple(self._baseline(prompt, seed).seconds for prompt, seed in pairs)

    def measure_quality(self, stack: Stack, pairs: Sequence[Pair], floor: QualityFloor) -> Quality:
        """Renders the pairs and compares them with the baseline; a video below the floor ends it.

        Raises:
            NoEffectError: A technique did not engage on the first pair.
            SolError: A rendering is not finite.
        """
        applied, clone = self._slot.prepare(stack)
        psnrs: list[float] = []
        ssims: list[float] = []
        ratios: list[float] = []
        for index, (prompt, seed) in enumerate(pairs):
            baseline = self._baseline(prompt, seed)
            start = time.perf_counter()
            rendering = self._render(clone, prompt, seed)
            seconds = time.perf_counter() - start
            if index == 0:
                applied.require_engaged()
            _require_finite(rendering)
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
        applied, clone = self._slot.prepare(stack)
        timing = time_pairs(
            lambda: render(self._pipeline, self._workload, *pair),
            lambda: render(clone, self._workload, *pair),
            n_pairs=n_pairs,
            warmup=1,
            synchronize=self._synchronize,
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
        _, clone = self._slot.prepare(stack)
        self._render(clone, *pair)
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
        return cuda_peak_bytes(lambda: self._render(pipeline, *pair), self._device)

    def compare(
        self, stack: Stack, pair: Pair, compare: Callable[[str, int, Any, Any], T]
    ) -> tuple[T, dict[str, dict[str, int]]]:
        """compare(prompt, seed, baseline frames, accelerated frames) and what was counted."""
        applied, clone = self._slot.prepare(stack)
        baseline = self._baseline(*pair)
        rendering = self._render(clone, *pair)
        applied.require_engaged()
        self._require_pristine()
        counts = {name: dict(e.counts) for name, e in applied.evidence().items()}
        return compare(*pair, baseline.rendering.frames, rendering.frames), counts

    def final_latents(
        self, stack: Stack, pairs: Sequence[Pair]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Latents of the last pair after making all of them in order on a fresh clone."""
        self._slot.drop()
        _, clone = self._slot.prepare(stack)
        for pair in pairs:
            rendering = self._render(clone, *pair)
        return rendering.latents

    def latents_after_undo(
        self, stack: Stack, pair: Pair
    ) -> tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.float32]]]:
        """Latents of the baseline, and of a clone on which the stack was used and undone."""
        self._slot.drop()
        clone = clone_pipeline(self._pipeline)
        with install_stack(clone, stack):
            self._render(clone, *pair)
        undone = self._render(clone, *pair)
        return self._baseline(*pair).rendering.latents, undone.latents

    def latents_at_identity(
        self, stack: Stack, pair: Pair
    ) -> tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.float32]]]:
        """Latents of the baseline, and with every member at its identity setting."""
        self._slot.drop()
        clone = clone_pipeline(self._pipeline)
        applied = install_stack(clone, stack)
        at_identity = self._render(clone, *pair)
        applied.undo()
        return self._baseline(*pair).rendering.latents, at_identity.latents

    def _baseline(self, prompt: str, seed: int) -> BaselineRun:
        kept = self._store.find(prompt, seed)
        if kept is not None:
            return kept
        start = time.perf_counter()
        rendering = self._render(self._pipeline, prompt, seed)
        _require_finite(rendering)
        run = BaselineRun(rendering, time.perf_counter() - start)
        self._store.keep(prompt, seed, run)
        return run

    def _render(self, pipeline: Any, prompt: str, seed: int) -> Rendering:
        rendering = render(pipeline, self._workload, prompt, seed)
        self._synchronize()
        return rendering

    def _require_pristine(self) -> None:
        if fingerprint_pipeline(self._pipeline) != self._pristine:
            raise ContaminatedWorkerError("The pristine pipeline was changed by a trial.")

    def _synchronize(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


def _require_finite(rendering: Rendering) -> None:
    if not np.isfinite(rendering.latents).all() or not np.isfinite(rendering.frames).all():
        raise SolError("The video has values that are not finite.")


def _modules(pipeline: Any) -> list[torch.nn.Module]:
    return [p for p in pipeline.components.values() if isinstance(p, torch.nn.Module)]
