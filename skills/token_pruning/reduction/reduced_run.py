"""The run of active blocks of one denoiser, computed for fewer tokens where a reducer says so.

Before the first active block the hidden states are reduced, each active block gets its other
tables of tokens reduced in the same way, behind the last one all tokens are there again: what
comes before and what follows sees nothing of it. Each block gets a slot around it, outside of
compiled code: there, another number of tokens is another compilation and nothing else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sol.call_form import replace_first
from sol.clock import Clock
from sol.forward_arguments import argument_reader, replace_arguments
from sol.roles import DenoiserRoles
from sol.skills.token_pruning.reduction.reducer import DenoiserCall, Reducer, Reduction
from sol.skills.token_pruning.reduction.token_tables import TokenTables
from sol.stand_in import StandIn


class TokenSlot(StandIn):
    """Stands for an active block.

    Attributes:
        run: Decides for which tokens the block runs.
    """

    def __init__(self, block: nn.Module, index: int, run: ReducedRun) -> None:
        super().__init__(block)
        self.run = run

        # On the instance, with the block's own signature: arguments are read by name.
        @functools.wraps(block.forward)
        def forward(*args: Any, **kwargs: Any) -> Any:
            return run.pass_block(index, block, args, kwargs)

        self.forward = forward


@dataclass
class TokenCounts:
    """What was counted.

    Attributes:
        computed: Tokens that went through the active blocks.
        left_out: Tokens that did not.
        reduced: Denoiser calls with fewer tokens.
        full: Denoiser calls with all of them.
        bytes_peak: The most that was kept between calls.
    """

    computed: int = 0
    left_out: int = 0
    reduced: int = 0
    full: int = 0
    bytes_peak: int = 0

    def add_call(self, n_batch: int, n_tokens: int, n_kept: int) -> None:
        self.computed += n_batch * n_kept
        self.left_out += n_batch * (n_tokens - n_kept)
        self.reduced += n_kept < n_tokens
        self.full += n_kept == n_tokens


@dataclass
class _Passage:
    """One call's way through the active blocks.

    Attributes:
        hidden: Before the first of them.
    """

    call: DenoiserCall
    hidden: Tensor | None = None
    reduction: Reduction | None = None


class ReducedRun:
    """One denoiser's active blocks, and where the current call stands in them."""

    def __init__(
        self, denoiser: DenoiserRoles, active: range, clock: Clock, reducer: Reducer
    ) -> None:
        self.counts = TokenCounts()
        self.reducer = reducer
        self._denoiser, self._active, self._clock = denoiser, active, clock
        tables = (name for name in denoiser.token_arguments if name != denoiser.hidden)
        self._tables = TokenTables(tuple(tables), denoiser.token_axes)
        self._read_latents = argument_reader(denoiser.module, denoiser.latents)
        self._read_hidden = argument_reader(denoiser.blocks[0], denoiser.hidden)
        self._passage: _Passage | None = None

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = self._describe(args, kwargs)
        self._passage = _Passage(call)
        try:
            result = forward(*args, **kwargs)
            self.reducer.finish(call, result[0])
        finally:
            self._passage = None
            self._tables.forget()
            self.reducer.leave()
        self.counts.bytes_peak = max(self.counts.bytes_peak, self.reducer.bytes_held)
        return result

    def pass_block(
        self, index: int, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        passage = self._passage
        assert passage is not None, "blocks run inside of a denoiser's call"
        hidden = self._read_hidden(args, kwargs)
        if index == self._active[0]:
            self._enter(passage, hidden)
        if passage.reduction is not None:
            assert passage.hidden is not None
            n_tokens, reduction = passage.hidden.shape[1], passage.reduction
            changes = self._tables.reduce(block, args, kwargs, n_tokens, reduction.select)
            if index == self._active[0]:
                changes[self._denoiser.hidden] = reduction.reduce(hidden)
            args, kwargs = replace_arguments(block, args, kwargs, changes)
        output = block(*args, **kwargs)
        if index != self._active[-1]:
            return output
        if isinstance(output, Tensor):
            return self._exit(passage, output)
        # Another stream, of sound, comes behind the hidden states.
        return replace_first(output, self._exit(passage, output[0]))

    def _enter(self, passage: _Passage, hidden: Tensor) -> None:
        passage.reduction = self.reducer.choose(passage.call, hidden)
        n_batch, n_tokens = hidden.shape[:2]
        n_kept = n_tokens if passage.reduction is None else passage.reduction.n_kept
        self.counts.add_call(n_batch, n_tokens, n_kept)
        if passage.reduction is not None:
            passage.hidden = hidden
        elif self.reducer.wants(passage.call):
            # Its own: a fused block may write into its input.
            passage.hidden = hidden.detach().clone()

    def _exit(self, passage: _Passage, output: Tensor) -> Tensor:
        if passage.hidden is None:
            return output
        if passage.reduction is not None:
            return passage.reduction.expand(passage.hidden, output)
        self.reducer.record(passage.call, passage.hidden, output)
        return output

    def _describe(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DenoiserCall:
        latents, clock = self._read_latents(args, kwargs), self._clock
        return DenoiserCall(
            branch=clock.branch,
            latents=latents,
            grid=self._denoiser.token_grid(args, kwargs),
            n_samples=latents.shape[0] // 2 if clock.has_both_branches else latents.shape[0],
            args=args,
            kwargs=kwargs,
        )
