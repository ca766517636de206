"""The choice of blocks at one site, and when it is made anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sol.clock import Clock
from sol.kernels.block_sparse_attention import BlockLayout, make_layout
from sol.skills.sparse_attention.correction import Correction
from sol.skills.sparse_attention.selection.ranking import always_kept
from sol.skills.sparse_attention.sequence.blocks import BlockSequence
from sol.skills.sparse_attention.settings import SparseSettings


@dataclass(frozen=True, eq=False)
class Place:
    """Where blocks are chosen.

    Attributes:
        layer: Number of the block of the denoiser.
        forced: Bool, (blocks, blocks): what is kept in any case.
        progress: Of the video, 0 at the first step that may be sparse, 1 at the last.
    """

    layer: int
    sequence: BlockSequence
    forced: Tensor
    progress: float


class Pattern(Protocol):
    """Which blocks are kept: what the techniques differ in."""

    @property
    def refresh(self) -> int | None:
        """Steps after which the blocks are chosen anew; None where they never change."""

    def choose(self, place: Place, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Bool, (1 or batch, heads, blocks, blocks).

        Args:
            query, key, value: (batch, heads, tokens, head_dim), in the order of the sequence.
        """


@dataclass(eq=False)
class BlockChoice:
    """A choice of blocks, and the step that made it.

    Attributes:
        n_left_out: Of its `n_blocks`; counted once, since a GPU would wait for it.
        correction: What this choice lacks, where that is added.
    """

    layout: BlockLayout
    step: int
    n_blocks: int
    n_left_out: int
    correction: Correction | None = None


def choose_blocks(
    pattern: Pattern,
    settings: SparseSettings,
    clock: Clock,
    layer: int,
    sequence: BlockSequence,
    arranged: tuple[Tensor, Tensor, Tensor],
) -> BlockChoice:
    """A new choice for the queries, keys and values of this step."""
    forced = always_kept(sequence.has_text, sequence.has_first_frame, sink=settings.sink)
    place = Place(layer, sequence, forced, _progress(settings, clock))
    mask = pattern.choose(place, *arranged)
    layout = make_layout(mask, sequence.grid.n_tokens, sequence.block)
    n_blocks = layout.n_all
    return BlockChoice(layout, clock.step, n_blocks, n_blocks - layout.n_kept)


def _progress(settings: SparseSettings, clock: Clock) -> float:
    n_sparse = clock.n_steps - settings.dense_first - settings.dense_last
    return (clock.step - settings.dense_first) / max(n_sparse - 1, 1)
