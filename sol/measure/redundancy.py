"""Records how much of each step is already in the steps before it: `sol.diagnosis.Redundancy`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from sol.clock import Clock
from sol.diagnosis import Redundancy
from sol.forward_arguments import argument_reader
from sol.roles import Capability, DenoiserRoles, Roles
from sol.scheduler_step import before_step

_Reader = Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]

_MAX_TOKENS = 2048
"""Tokens of a hidden state that are compared: a sample, so that large models fit in memory."""


@dataclass
class _Recording:
    """One video's raw observations, by step; filled in while it is made."""

    latents: list[torch.Tensor] = field(default_factory=list)
    guided: list[torch.Tensor] = field(default_factory=list)
    guidance_gap: dict[int, float] = field(default_factory=dict)
    block_change: dict[int, dict[int, float]] = field(default_factory=dict)
    signal_change: dict[str, dict[int, float]] = field(default_factory=dict)
    magnitude_ratio: dict[str, dict[int, float]] = field(default_factory=dict)


def record_redundancy(
    runs: Sequence[Callable[[], object]], scheduler: Any, roles: Roles, clock: Clock
) -> Redundancy:
    """Makes each video once, with everything recorded; means over the videos.

    Args:
        runs: Each makes one video with the pipeline of `roles`.
        scheduler: The pipeline's own.
        clock: Ticks with the pipeline.
    """
    return _mean([_record_one(run, scheduler, roles, clock) for run in runs])


def relative_changes(outputs: Sequence[torch.Tensor]) -> tuple[float, ...]:
    """|v_t - v_{t-1}|_1 / |v_{t-1}|_1 for consecutive outputs of equal shape."""
    return tuple(_relative_l1(now, before) for before, now in pairwise(outputs))


def _record_one(
    run: Callable[[], object], scheduler: Any, roles: Roles, clock: Clock
) -> Redundancy:
    recording = _Recording()
    positions: list[float] = []
    with ExitStack() as stack:
        _watch_scheduler(stack, scheduler, recording, clock, positions)
        for denoiser in roles.denoisers:
            _watch_denoiser(stack, denoiser, recording, clock)
            if Capability.BLOCK_RESIDUAL in roles.capabilities:
                _BlockWatch(denoiser, recording, clock).attach(stack)
        run()
    n_steps = len(recording.guided)
    return Redundancy(
        n_videos=1,
        positions=tuple(positions),
        gram=_gram(recording.latents, recording.guided),
        output_change=relative_changes(recording.guided),
        block_change=tuple(
            _series(recording.block_change[block], range(1, n_steps))
            for block in sorted(recording.block_change)
        ),
        signal_change={
            name: _series(values, range(1, n_steps))
            for name, values in recording.signal_change.items()
        },
        magnitude_ratio={
            branch: _series(values, range(n_steps))
            for branch, values in recording.magnitude_ratio.items()
        },
        guidance_gap=_series(recording.guidance_gap, range(n_steps)) if clock.is_guided else (),
    )


def _watch_scheduler(
    stack: ExitStack, scheduler: Any, recording: _Recording, clock: Clock, positions: list[float]
) -> None:
    def record(output: torch.Tensor, timestep: Any, sample: torch.Tensor) -> None:
        positions.append(clock.position)
        recording.guided.append(output.detach().float().clone())
        recording.latents.append(sample.detach().float().clone())

    stack.callback(before_step(scheduler, record))


def _watch_denoiser(
    stack: ExitStack, denoiser: DenoiserRoles, recording: _Recording, clock: Clock
) -> None:
    """Both branches of a step, in one call or in two, the conditional one first."""
    conditional: list[torch.Tensor] = []

    def after(_: nn.Module, __: Any, output: Any) -> None:
        now = denoiser.form.read_answer(output).detach().float()
        if not clock.is_guided:
            return
        if clock.branch == "both":
            uncond, cond = now.chunk(2)
            recording.guidance_gap[clock.step] = _relative_l1(cond, uncond)
        elif clock.branch == "cond":
            conditional[:] = [now]
        elif conditional:
            recording.guidance_gap[clock.step] = _relative_l1(conditional.pop(), now)

    stack.callback(denoiser.module.register_forward_hook(after).remove)


@dataclass
class _BlockWatch:
    """Residuals of one denoiser's blocks, and the signals that adaptive caches watch.

    Changes are recorded for the branch that a step computes first; ratios for every branch.
    """

    denoiser: DenoiserRoles
    recording: _Recording
    clock: Clock
    inputs: dict[int, torch.Tensor] = field(default_factory=dict)
    last: dict[str, torch.Tensor] = field(default_factory=dict)

    def attach(self, stack: ExitStack) -> None:
        blocks = self.denoiser.blocks
        read_hidden = self.denoiser.block_form.read
        for number, block in enumerate(blocks):
            _hook(stack, block, functools.partial(self._enter, number, read_hidden))
            leave = block.register_forward_hook(functools.partial(self._leave, number))
            stack.callback(leave.remove)
        _hook(stack, blocks[0], functools.partial(self._note_signals, self._signal_readers()))

    def _signal_readers(self) -> Mapping[str, _Reader]:
        """What the first block is given: not every family modulates by the timestep."""
        readers: dict[str, _Reader] = {}
        if self.denoiser.timestep_embedding is not None:
            read = argument_reader(self.denoiser.blocks[0], self.denoiser.timestep_embedding)
            readers["timestep"] = lambda args, kwargs: read(args, kwargs).detach().float()
        modulated = self.denoiser.modulated_input
        if modulated is not None:
            readers["modulated_input"] = lambda args, kwargs: _sampled(modulated(args, kwargs))
        return readers

    def _enter(
        self,
        number: int,
        read_hidden: _Reader,
        _: nn.Module,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self.inputs[number] = _sampled(read_hidden(args, kwargs))

    def _leave(self, number: int, _: nn.Module, __: Any, output: Any) -> None:
        sampled = _sampled(self.denoiser.block_form.read_answer(output))
        if self.clock.is_first_branch:
            series = self.recording.block_change.setdefault(number, {})
            self._note_change(series, f"block {number}", sampled - self.inputs[number])
        if number == len(self.denoiser.blocks) - 1:
            self._note_ratio(sampled - self.inputs[0])

    def _note_signals(
        self, readers: Mapping[str, _Reader], _: nn.Module, args: Any, kwargs: Mapping[str, Any]
    ) -> None:
        if not self.clock.is_first_branch:
            return
        for name, read in readers.items():
            series = self.recording.signal_change.setdefault(name, {})
            self._note_change(series, name, read(args, kwargs))

    def _note_change(self, series: dict[int, float], key: str, now: torch.Tensor) -> None:
        if key in self.last:
            series[self.clock.step] = _relative_l1(now, self.last[key])
        self.last[key] = now

    def _note_ratio(self, residual: torch.Tensor) -> None:
        norms, key = residual.norm(dim=-1), f"norms {self.clock.branch}"
        if key in self.last:
            ratio = float((norms / self.last[key].clamp(min=1e-12)).mean())
            ratios = self.recording.magnitude_ratio.setdefault(self.clock.branch, {})
            ratios[self.clock.step] = ratio
        self.last[key] = norms


def _hook(stack: ExitStack, module: nn.Module, before: Callable[..., None]) -> None:
    stack.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)


def _sampled(hidden: torch.Tensor) -> torch.Tensor:
    """Every n-th token of (batch, tokens, width), in float32 and its own memory."""
    stride = -(-hidden.shape[1] // _MAX_TOKENS)
    return hidden.detach()[:, ::stride].float().clone()


def _relative_l1(now: torch.Tensor, before: torch.Tensor) -> float:
    return float((now - before).abs().sum() / before.abs().sum().clamp(min=1e-12))


def _gram(
    latents: Sequence[torch.Tensor], guided: Sequence[torch.Tensor]
) -> tuple[tuple[float, ...], ...]:
    """Inner products in double precision: errors are small differences of large products."""
    rows = torch.stack([t.flatten() for t in (*latents, *guided)]).double()
    gram = (rows @ rows.T).cpu().numpy()
    n_steps = len(guided)
    scale = float(np.mean(np.diag(gram)[n_steps:]))
    return tuple(tuple(row) for row in (gram / max(scale, 1e-300)).tolist())


def _series(values: Mapping[int, float], steps: Sequence[int]) -> tuple[float, ...]:
    """Values by step; where one has none, that of the step before, and 1 if there is none."""
    series: list[float] = []
    for step in steps:
        series.append(values.get(step, series[-1] if series else 1.0))
    return tuple(series)


def _mean(recorded: Sequence[Redundancy]) -> Redundancy:
    first = recorded[0]
    return Redundancy(
        n_videos=len(recorded),
        positions=first.positions,
        gram=tuple(tuple(row) for row in np.mean([r.gram for r in recorded], axis=0).tolist()),
        output_change=_mean_series([r.output_change for r in recorded]),
        block_change=tuple(
            _mean_series(rows) for rows in zip(*(r.block_change for r in recorded), strict=True)
        ),
        signal_change={
            name: _mean_series([r.signal_change[name] for r in recorded])
            for name in first.signal_change
        },
        magnitude_ratio={
            branch: _mean_series([r.magnitude_ratio[branch] for r in recorded])
            for branch in first.magnitude_ratio
        },
        guidance_gap=_mean_series([r.guidance_gap for r in recorded]),
    )


def _mean_series(series: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.mean(series, axis=0))
