"""Skipping a run of blocks inside a denoiser call: what the block-level caches share.

Blocks first..last-1 are skipped together: the first lets its hidden states through, the last adds
what the whole run is predicted to. Each block gets a slot around it, outside of compiled code, so
that a decision never recompiles a block.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sol.attach import find_place, replace_child, undo_all
from sol.clock import Clock
from sol.errors import ConfigError
from sol.roles import DenoiserRoles, Roles
from sol.skills.cache.skipping.call_cache import CallCache, SkipPolicy, evidence_of
from sol.skills.cache.skipping.skip_settings import ReuseSettings
from sol.stand_in import StandIn
from sol.technique import Installed


@dataclass(frozen=True)
class Entry:
    """What is known where the run of blocks begins.

    Attributes:
        start: Hidden states before block 0, (batch, tokens, width).
        hidden: Hidden states before the first block of the run.
        args, kwargs: Of the first block of the run.
    """

    start: torch.Tensor
    hidden: torch.Tensor
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


Signal = Callable[[Entry], torch.Tensor]
"""Reads what a policy watches."""


class BlockSlot(StandIn):
    """Stands for a block; the run that it is part of decides whether the block is computed."""

    def __init__(self, block: nn.Module, index: int, run: _Run) -> None:
        super().__init__(block)

        # On the instance, with the block's own signature: arguments are read by name.
        @functools.wraps(block.forward)
        def forward(*args: Any, **kwargs: Any) -> Any:
            return run.pass_block(index, block, args, kwargs)

        self.forward = forward


class _Run:
    """The skippable run of one denoiser's blocks and where the current call stands in it."""

    def __init__(
        self, denoiser: DenoiserRoles, cache: CallCache, first: int, last: int, signal: Signal
    ) -> None:
        self.cache = cache
        self._first, self._last = first, last
        self._signal = signal
        self._form = denoiser.block_form
        self.forget()

    def forget(self) -> None:
        self._start: torch.Tensor | None = None
        self._entry: torch.Tensor | None = None
        self._predicted: torch.Tensor | None = None
        self.cache.forget()

    def pass_block(
        self, index: int, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if index == 0:
            # Its own: a fused block may write into its input.
            self._start = self._form.read(args, kwargs).detach().clone()
        if index == self._first:
            self._enter(self._form.read(args, kwargs), args, kwargs)
        if self._predicted is not None and self._first <= index < self._last:
            if index < self._last - 1:
                return self._form.pass_through(args, kwargs)
            return self._form.answer(self._leave(self._predicted), args, kwargs, None)
        output = block(*args, **kwargs)
        if index == self._last - 1:
            self._record(self._form.read_answer(output))
        return output

    def _enter(
        self, hidden: torch.Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        assert self._start is not None, "block 0 comes first"
        entry = Entry(self._start, hidden, args, kwargs)
        self._predicted = self.cache.find_prediction(hidden, self._signal(entry))
        is_start = self._first == 0
        self._entry = self._start if is_start else hidden.detach().clone()

    def _leave(self, predicted: torch.Tensor) -> torch.Tensor:
        self._start = self._entry = self._predicted = None
        return predicted

    def _record(self, output: torch.Tensor) -> None:
        assert self._entry is not None, "the run was entered"
        self.cache.record(self._entry, output)
        self._start = self._entry = None


def install_block_skip(
    roles: Roles,
    clock: Clock,
    settings: ReuseSettings,
    make_policy: Callable[[], SkipPolicy],
    make_signal: Callable[[DenoiserRoles], Signal],
    front: int = 0,
    back: int = 0,
) -> Installed:
    """Puts one policy in front of the blocks of each denoiser.

    Args:
        make_policy, make_signal: Called once a denoiser: experts do not share state.
        front: First blocks that are always computed.
        back: Last blocks that are always computed.

    Raises:
        ConfigError: `front` and `back` leave no block to skip.
    """
    # All of them before the first block is replaced: an error leaves nothing behind.
    runs = [
        _Run(
            denoiser,
            CallCache(make_policy(), settings, clock),
            front,
            _end_of_run(denoiser, front, back),
            make_signal(denoiser),
        )
        for denoiser in roles.denoisers
    ]
    undos: list[Callable[[], None]] = []
    for denoiser, run in zip(roles.denoisers, runs, strict=True):
        undos.append(clock.on_video(run.forget))
        for index, block in enumerate(denoiser.blocks):
            parent, name = find_place(denoiser.module, block)
            undos.append(replace_child(parent, name, BlockSlot(block, index, run)))
    return Installed(
        lambda: undo_all(undos), lambda: evidence_of([run.cache for run in runs], "runs")
    )


def _end_of_run(denoiser: DenoiserRoles, front: int, back: int) -> int:
    end = len(denoiser.blocks) - back
    if end <= front:
        raise ConfigError(
            f"front {front} and back {back} leave none of the {len(denoiser.blocks)} blocks "
            "to skip: lower one of them."
        )
    return end
