"""A measuring worker: holds the pristine pipeline and measures stacks on clones of it.

Every method takes and returns plain data, so that a worker can be an object in this process or
a Ray actor on another machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.lossless_video import write_lossless
from sol.measure.attention_sparsity import watch_attention
from sol.measure.diagnosis import diagnose
from sol.measure.guidance import EffectiveGuidance, Unmeasurable
from sol.measure.hardware import device_key, probe, versions
from sol.measure.memory import (
    bytes_besides,
    cuda_peak_bytes,
    modules_of,
    require_same_weights,
    weights_bytes,
)
from sol.measure.settling import watch_settling
from sol.measure.timing import time_pairs
from sol.models.families import describe_roles
from sol.models.loading import load_model
from sol.models.prompts import screening_prompts
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.proof import Proof
from sol.runtime.render import render
from sol.runtime.ticker import start_ticking
from sol.search.altered import Altered, Frames
from sol.search.arms import Arms, PairFiles
from sol.search.arms import Pair as Pair
from sol.search.baseline import BaselineStore
from sol.search.calibration import Made, compare_videos
from sol.search.call_errors import measure_call_errors
from sol.search.clone_slot import CloneSlot
from sol.search.effective_guidance import compare_guidance, guidance_of_altered
from sol.search.fresh_process import Question
from sol.search.glance import Glancer
from sol.search.latent_probes import (
    Latents,
    latents_after_undo,
    latents_at_identity,
    latents_of_last,
    mean_latent_error,
)
from sol.search.memory_probe import measure_process_peak
from sol.search.offering import Rivals, TriedOut, find_offers, find_parts, find_rivals
from sol.search.recording import record_videos
from sol.search.records import (
    ColdStart,
    Glance,
    GlanceLimits,
    Offer,
    Quality,
    QualityFloor,
    Speed,
    WorkerInfo,
)
from sol.search.start_probe import measure_cold_start
from sol.target import Workload
from sol.technique import SpaceContext, Stack, StackItem

T = TypeVar("T")
Counts = dict[str, dict[str, int]]
"""What each technique counted."""

_NO_LIMITS = GlanceLimits()


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
    """Bytes of weights and of the peak of one video, without and with the stack.

    Attributes:
        kept_for_undo: Weights of the baseline that the stack does not use, and keeps.
        weights_after_undo: Of the pipeline that the stack was on, once it is off.
    """

    baseline_weights: int
    accelerated_weights: int
    baseline_peak: int | None
    accelerated_peak: int | None
    kept_for_undo: int
    weights_after_undo: int


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
        self._glancer = Glancer(self._arms)
        self._seen: tuple[Stack, dict[Pair, Made]] = ((), {})

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
        roles, clock = describe_roles(clone), Clock()
        # Some denoisers read the words themselves.
        text_encoders = [p for name, p in clone.components.items() if name == "text_encoder"]
        diagnosis = diagnose(
            lambda: render(clone, self._workload, *pairs[0]),
            roles,
            text_encoders,
            clone.vae,
            self._arms.synchronize,
            time.perf_counter,
        )
        with ExitStack() as stack:
            stack.callback(start_ticking(clone, roles, clock))
            attention = stack.enter_context(watch_attention(roles, clock))
            settling = stack.enter_context(watch_settling(roles, clone.scheduler, clock))
            redundancy = record_videos(clone, self._workload, pairs)
        return replace(
            diagnosis,
            redundancy=redundancy,
            attention=attention.sparsity(),
            settling=settling.settling(),
        )

    def offers(
        self,
        skill: str,
        diagnosis: Diagnosis,
        tried: TriedOut,
    ) -> tuple[tuple[Offer, ...], dict[str, str]]:
        """The techniques of a skill that apply, with their spaces; the others with the reason."""
        context = self._context(diagnosis)
        if not context.roles.is_inspected:
            return find_offers(skill, context, tried)
        prompt = screening_prompts(self._loaded.prompts, 1)[0].text
        proof = Proof(self._pipeline, self._workload, prompt, seed=0)
        return find_offers(skill, context, tried, proof.find_flaw)

    def rivals(self, skill: str, diagnosis: Diagnosis) -> Rivals:
        """What the techniques of a skill want to have run before they make their spaces."""
        return find_rivals(skill, self._context(diagnosis))

    def parts(
        self, skill: str, diagnosis: Diagnosis
    ) -> Mapping[str, tuple[Mapping[str, Any], ...]]:
        """By technique of a skill, the configs of which each touches one part of the denoiser."""
        return find_parts(skill, self._context(diagnosis))

    def part_errors(
        self, technique: str, configs: Sequence[Mapping[str, Any]], pair: Pair
    ) -> tuple[float, ...]:
        """Of each config, the relative error of the denoiser's output on recorded calls."""
        stacks = [(StackItem(technique, config),) for config in configs]
        return measure_call_errors(self._pipeline, self._workload, stacks, pair)

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

    def glance(self, stack: Stack, pair: Pair, limits: GlanceLimits = _NO_LIMITS) -> Glance:
        """Looks at one prompt's run, no further than it takes to see that it is lost.

        The video of a run that went all the way is kept for `measure_quality`, which should
        follow on the same worker: then the glance costs what the watching does.

        Raises:
            NoEffectError: A technique did not engage.
        """
        glance, made = self._glancer.glance(stack, pair, limits)
        self._seen = (stack, {} if made is None else {pair: made})
        self._require_pristine()
        return glance

    def measure_quality(self, stack: Stack, pairs: Sequence[Pair], floor: QualityFloor) -> Quality:
        """Renders the pairs and compares them with the baseline; a video below the floor ends it.

        Raises:
            NoEffectError: A technique did not engage on the first pair.
            SolError: A rendering is not finite.
        """
        applied, clone = self._arms.slot.prepare(stack)
        of, seen = self._seen
        self._seen = ((), {})
        # On a clone that has made no video yet, its techniques could not show that they engaged.
        made = seen if of == stack and applied.clock.video > 0 else {}
        quality = compare_videos(self._arms, applied, clone, pairs, floor, made)
        self._require_pristine()
        return quality

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
        """Bytes of both arms: on a GPU the allocator's peak, on a CPU that of a fresh process.

        Raises:
            SolError: The stack leaves other weights behind than there were before.
        """
        _, clone = self._arms.slot.prepare(stack)
        self._arms.render(clone, pair)
        pristine, accelerated = modules_of(self._pipeline), modules_of(clone)
        in_use, kept = weights_bytes(accelerated), bytes_besides(pristine, accelerated)
        peaks = (self._peak((), self._pipeline, pair), self._peak(stack, clone, pair))
        self._arms.slot.drop()
        before, after = weights_bytes(pristine), weights_bytes(modules_of(clone))
        require_same_weights(before, after)
        return MemoryReading(before, in_use, *peaks, kept, after)

    def _peak(self, stack: Stack, pipeline: Any, pair: Pair) -> int | None:
        if self._device == "cpu":
            return measure_process_peak(self._question(stack, pair))
        return cuda_peak_bytes(lambda: self._arms.render(pipeline, pair), self._device)

    def measure_cold_start(self, stack: Stack, pair: Pair) -> ColdStart | None:
        """Seconds of a start in a fresh process; None where it failed or took too long.

        The process loads the model once more, on a GPU beside this worker's. Nothing else may run
        on the device.
        """
        return measure_cold_start(self._question(stack, pair))

    def _question(self, stack: Stack, pair: Pair) -> Question:
        plan = self._plan
        return Question(plan.model, self._device, self._workload, stack, pair, plan.threads)

    def compare(
        self,
        arm: Stack | Altered,
        pair: Pair,
        compare: Callable[[str, int, Any, Any], T],
        files: PairFiles | None = None,
    ) -> tuple[T, Counts]:
        """compare(prompt, seed, baseline frames, accelerated frames) and what was counted.

        Args:
            arm: A stack, or the pristine pipeline used in another way.
            files: Where both videos are kept; the baseline's frames are then those of its file.

        Raises:
            NoEffectError: A technique did not engage.
            VideoFileError: A file cannot be written, or is not what it should be.
        """
        baseline = self._arms.baseline_frames(pair, files)
        if isinstance(arm, Altered):
            frames, counts = self._arms.altered(arm, pair, baseline), Counts()
        else:
            frames, counts = self._accelerate(arm, pair)
        self._require_pristine()
        result = compare(*pair, baseline, frames)
        if files is not None and np.isfinite(frames).all():
            files.accelerated.parent.mkdir(parents=True, exist_ok=True)
            write_lossless(frames, files.accelerated, files.fps)
        return result, counts

    def _accelerate(self, stack: Stack, pair: Pair) -> tuple[Frames, Counts]:
        applied, clone = self._arms.slot.prepare(stack)
        frames = self._arms.render(clone, pair).frames
        applied.require_engaged()
        return frames, {name: dict(e.counts) for name, e in applied.evidence().items()}

    def effective_guidance(
        self, arm: Stack | Altered, pair: Pair
    ) -> EffectiveGuidance | Unmeasurable:
        """The guidance scale that an arm's run of a pair amounts to.

        Raises:
            NoEffectError: A technique did not engage.
            GuidanceError: The run does not take the baseline's steps, or is not finite.
        """
        if isinstance(arm, Altered):
            return guidance_of_altered(self._arms, arm, pair)
        workload = self._workload
        applied, clone = self._arms.slot.prepare(arm)
        guidance = compare_guidance(self._pipeline, workload, clone, workload, pair)
        applied.require_engaged()
        self._require_pristine()
        return guidance

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
