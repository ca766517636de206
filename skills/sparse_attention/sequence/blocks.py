"""The tokens of a grid in the order in which they are cut into blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
from torch import Tensor

from sol.roles import TokenGrid
from sol.skills.sparse_attention.sequence.curves import hilbert_index, morton_index
from sol.skills.sparse_attention.sequence.tiles import choose_tile, tile_index

Order = Literal["raster", "tiles", "hilbert", "morton"]
"""As the model has them; box by box; along a curve that fills the grid."""


@dataclass(frozen=True, eq=False)
class BlockSequence:
    """Tokens in order, cut into blocks of `block`; the last may be shorter.

    The grid comes first, text last, so that text is in as few blocks as can be.

    Attributes:
        tokens: (tokens,) which token stands at each place; None where all stand as they were.
        places: Its inverse: the place of each token.
        centres: (blocks, 3) mean coordinates of a block's tokens of the grid, each as a share of
            its side.
        has_text: (blocks,) whether a block holds text.
        has_first_frame: (blocks,) whether a block holds tokens of the first frame.
    """

    grid: TokenGrid
    block: int
    tokens: Tensor | None
    places: Tensor | None
    centres: Tensor
    has_text: Tensor
    has_first_frame: Tensor

    @property
    def n_blocks(self) -> int:
        return ceil(self.grid.n_tokens / self.block)

    def arrange(self, x: Tensor) -> Tensor:
        """(batch, tokens, heads, head_dim) -> (batch, heads, tokens in order, head_dim)."""
        # Rows of all heads at once: several times faster than head by head.
        ordered = x if self.tokens is None else x.index_select(1, self.tokens)
        return ordered.transpose(1, 2)

    def restore(self, x: Tensor) -> Tensor:
        """The inverse of `arrange`."""
        swapped = x.transpose(1, 2)
        return swapped if self.places is None else swapped.index_select(1, self.places)


def make_sequence(
    grid: TokenGrid, order: Order, block: int, device: torch.device | str = "cpu"
) -> BlockSequence:
    """Orders the tokens of a grid and describes the blocks that come of it."""
    coordinates = _coordinates(grid)
    in_grid = torch.argsort(_INDEX[order](coordinates, grid.sizes, block), stable=True)
    text = _text_tokens(grid)
    tokens = torch.cat([in_grid + grid.n_before, text])
    n_blocks = ceil(grid.n_tokens / block)
    block_of = torch.arange(grid.n_tokens) // block
    ordered = coordinates[in_grid]
    shares = ordered / torch.tensor(grid.sizes)
    n_grid = len(in_grid)
    is_moved = not torch.equal(tokens, torch.arange(len(tokens)))
    return BlockSequence(
        grid=grid,
        block=block,
        tokens=tokens.to(device) if is_moved else None,
        places=torch.argsort(tokens).to(device) if is_moved else None,
        centres=_mean_by_block(shares, block_of[:n_grid], n_blocks).to(device),
        has_text=_any_by_block(block_of[n_grid:], n_blocks).to(device),
        has_first_frame=_any_by_block(block_of[:n_grid][ordered[:, 0] == 0], n_blocks).to(device),
    )


def _coordinates(grid: TokenGrid) -> Tensor:
    """(grid tokens, 3): frame, row and column in raster order."""
    axes = [torch.arange(size) for size in grid.sizes]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


def _text_tokens(grid: TokenGrid) -> Tensor:
    n_grid = grid.n_tokens - grid.n_before - grid.n_after
    after = torch.arange(grid.n_before + n_grid, grid.n_tokens)
    return torch.cat([torch.arange(grid.n_before), after])


def _mean_by_block(values: Tensor, block_of: Tensor, n_blocks: int) -> Tensor:
    sums = torch.zeros(n_blocks, values.shape[1]).index_add_(0, block_of, values.float())
    counts = torch.bincount(block_of, minlength=n_blocks).clamp(min=1)
    return sums / counts[:, None]


def _any_by_block(block_of: Tensor, n_blocks: int) -> Tensor:
    return torch.bincount(block_of, minlength=n_blocks) > 0


_Index = Callable[[Tensor, tuple[int, int, int], int], Tensor]
_INDEX: dict[Order, _Index] = {
    "raster": lambda coordinates, _, __: torch.arange(len(coordinates)),
    "tiles": lambda coordinates, sizes, block: tile_index(
        coordinates, sizes, choose_tile(sizes, block)
    ),
    "hilbert": lambda coordinates, _, __: hilbert_index(coordinates),
    "morton": lambda coordinates, _, __: morton_index(coordinates),
}
