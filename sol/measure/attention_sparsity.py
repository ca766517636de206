"""Records in how few blocks self-attention is: `sol.diagnosis.AttentionSparsity`.

The attention itself stays as it is: beside it, a few blocks of queries are computed once more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from sol.attention_routing import Attention, route_attention
from sol.clock import Clock
from sol.diagnosis import AttentionSparsity, HeadTable
from sol.measure.block_shares import BlockShares, compare_densities
from sol.roles import Capability, DenoiserRoles, Roles, TokenGrid
from sol.skills.sparse_attention.selection.ranking import always_kept, keep_best, n_kept
from sol.skills.sparse_attention.selection.topk import score_blocks
from sol.skills.sparse_attention.sequence.blocks import BlockSequence, Order, make_sequence

_DENSITIES = (0.1, 0.15, 0.25, 0.35, 0.5, 0.7)
_COMPARED_DENSITY = 0.25
_PLACES = (0.15, 0.5, 0.85)
"""Where in a run attention is recorded: neither noise nor details decide alone."""
_LAGS = (1, 4)
_N_QUERY_BLOCKS = 8
_FEWEST_BLOCKS = 3


@dataclass(frozen=True)
class _Moment:
    """A call of a site: where, in which video, at which step."""

    denoiser: int
    layer: int
    video: int
    step: int


@dataclass
class AttentionWatch:
    """What was recorded so far.

    Attributes:
        shares: Of the moments at which densities were compared.
        chosen: By moment, bool (samples, heads, rows, blocks), without what is always kept.
    """

    clock: Clock
    order: Order
    block: int
    sequence: BlockSequence | None = None
    shares: dict[_Moment, BlockShares] = field(default_factory=dict)
    chosen: dict[_Moment, Tensor] = field(default_factory=dict)

    def is_due(self) -> bool:
        """Whether anything is recorded of this step and branch."""
        compared = compared_steps(self.clock.n_steps)
        steps = {step + lag for step in compared for lag in (0, *_LAGS)}
        return self.clock.is_first_branch and self.clock.step in steps

    def note(self, denoiser: int, layer: int, grid: TokenGrid, tensors: Sequence[Tensor]) -> None:
        """Records one site's call.

        Args:
            tensors: Query, key and value, each (batch, tokens, heads, head_dim).
        """
        if self.sequence is None:
            self.sequence = make_sequence(grid, self.order, self.block, tensors[0].device)
        sequence, n_blocks = self.sequence, self.sequence.n_blocks
        if n_blocks < _FEWEST_BLOCKS or grid != sequence.grid:
            return
        query, key, value = (sequence.arrange(self._conditional(x)) for x in tensors)
        rows, forced = _spread(n_blocks), _forced(sequence)
        scores = score_blocks(_take_blocks(query, rows, self.block), key, self.block)
        moment = _Moment(denoiser, layer, self.clock.video, self.clock.step)
        chosen = keep_best(scores, n_kept(_COMPARED_DENSITY, n_blocks), forced)
        self.chosen[moment] = (chosen & ~forced).cpu()
        if moment.step in compared_steps(self.clock.n_steps):
            kept = [
                keep_best(scores, n_kept(density, n_blocks), forced)
                for density in whole_blocks(_DENSITIES, n_blocks)
            ]
            self.shares[moment] = compare_densities(
                query, key, value, self.block, rows, torch.stack(kept, dim=2)
            )

    def sparsity(self) -> AttentionSparsity | None:
        """Means of all that was recorded; None where there were no blocks to choose from."""
        if self.sequence is None or not self.shares:
            return None
        n_blocks = self.sequence.n_blocks
        overlaps = {lag: self._overlap(_pairs_of_steps(self.shares, lag)) for lag in _LAGS}
        return AttentionSparsity(
            n_videos=len({moment.video for moment in self.shares}),
            sizes=self.sequence.grid.sizes,
            order=self.order,
            block=self.block,
            densities=whole_blocks(_DENSITIES, n_blocks),
            mass=self._mean({m: s.mass for m, s in self.shares.items()}),
            error={
                name: self._mean({m: s.error[name] for m, s in self.shares.items()})
                for name in next(iter(self.shares.values())).error
            },
            compared_density=whole_blocks((_COMPARED_DENSITY,), n_blocks)[0],
            overlap={lag: layers for lag, layers in overlaps.items() if layers},
            prompt_overlap=self._overlap(_pairs_of_videos(self.shares)),
            overlap_by_lot=self._overlap_by_lot(self.sequence),
        )

    def _conditional(self, x: Tensor) -> Tensor:
        """The second half of a batch in which the guidance branches are together."""
        return x[x.shape[0] // 2 :] if self.clock.has_both_branches else x

    def _mean(self, recorded: Mapping[_Moment, Tensor]) -> HeadTable:
        layers = sorted({moment.layer for moment in recorded})
        means = (
            torch.stack([x for moment, x in recorded.items() if moment.layer == layer]).mean(0)
            for layer in layers
        )
        return tuple(tuple(tuple(head) for head in mean.tolist()) for mean in means)

    def _overlap(self, pairs: Iterable[tuple[_Moment, _Moment]]) -> tuple[float, ...]:
        by_layer: dict[int, list[float]] = {}
        for before, now in pairs:
            if before in self.chosen and now in self.chosen:
                shared = _shared(self.chosen[before], self.chosen[now])
                by_layer.setdefault(now.layer, []).append(shared)
        return tuple(fmean(by_layer[layer]) for layer in sorted(by_layer))

    def _overlap_by_lot(self, sequence: BlockSequence) -> float:
        chosen = next(iter(self.chosen.values()))
        return float(chosen.float().mean()) / float((~_forced(sequence)).float().mean())


@contextmanager
def watch_attention(
    roles: Roles, clock: Clock, order: Order = "tiles", block: int = 64
) -> Iterator[AttentionWatch]:
    """Records the videos that are made inside; nothing where attention has no blocks.

    Args:
        clock: Ticks with the pipeline.
        order, block: How tokens are cut into blocks.
    """
    watch = AttentionWatch(clock, order, block)
    with ExitStack() as stack:
        if Capability.GRID_ATTENTION in roles.capabilities:
            for number, denoiser in enumerate(roles.denoisers):
                _Sites(number, denoiser, watch).attach(stack)
        yield watch


def compared_steps(n_steps: int) -> tuple[int, ...]:
    """The steps at which densities are compared."""
    return tuple(sorted({int(place * n_steps) for place in _PLACES}))


def whole_blocks(densities: Iterable[float], n_blocks: int) -> tuple[float, ...]:
    """Densities as shares of so many blocks that can be kept; all of them is left out."""
    counts = {int(n_kept(density, n_blocks)) for density in densities}
    return tuple(count / n_blocks for count in sorted(counts) if count < n_blocks)


@dataclass
class _Sites:
    """The self-attentions of one denoiser, and the grid of the call that it is in."""

    number: int
    denoiser: DenoiserRoles
    watch: AttentionWatch
    grid: TokenGrid | None = None

    def attach(self, stack: ExitStack) -> None:
        hook = self.denoiser.module.register_forward_pre_hook(self._enter, with_kwargs=True)
        stack.callback(hook.remove)
        for layer, site in enumerate(self.denoiser.grid_attention):
            stack.callback(route_attention(site.module.processor, self._computing(layer)))

    def _enter(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.grid = self.denoiser.token_grid(args, kwargs)

    def _computing(self, layer: int) -> Callable[[Tensor, Tensor, Tensor, Attention], Tensor]:
        def compute(query: Tensor, key: Tensor, value: Tensor, before: Attention) -> Tensor:
            grid, is_due = self.grid, self.watch.is_due()
            if is_due and grid is not None and grid.n_tokens == query.shape[1]:
                self.watch.note(self.number, layer, grid, (query, key, value))
            return before(query, key, value)

        return compute


def _spread(n_blocks: int) -> list[int]:
    """Some blocks at even distances, the first and the last among them."""
    places = torch.linspace(0, n_blocks - 1, min(_N_QUERY_BLOCKS, n_blocks))
    return [int(place) for place in places.round()]


def _forced(sequence: BlockSequence) -> Tensor:
    """(sampled blocks, blocks): what a sparse attention keeps in any case."""
    forced = always_kept(sequence.has_text, sequence.has_first_frame, sink=False)
    return forced[_spread(sequence.n_blocks)]


def _take_blocks(x: Tensor, rows: Sequence[int], block: int) -> Tensor:
    return torch.cat([x[:, :, row * block : (row + 1) * block] for row in rows], dim=2)


def _pairs_of_steps(moments: Iterable[_Moment], lag: int) -> Iterator[tuple[_Moment, _Moment]]:
    return ((m, _Moment(m.denoiser, m.layer, m.video, m.step + lag)) for m in moments)


def _pairs_of_videos(moments: Iterable[_Moment]) -> Iterator[tuple[_Moment, _Moment]]:
    def place(moment: _Moment) -> Hashable:
        return moment.denoiser, moment.layer, moment.step

    pairs = itertools.combinations(moments, 2)
    return (pair for pair in pairs if place(pair[0]) == place(pair[1]))


def _shared(before: Tensor, now: Tensor) -> float:
    """Share of the blocks chosen now that were chosen before; all of them where none are."""
    n_now = int(now.sum())
    return float((before & now).sum()) / n_now if n_now else 1.0
