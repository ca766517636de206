"""Some tokens as they are, and one for each cell of the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sol.roles import TokenGrid


@dataclass(frozen=True)
class MergedCells:
    """A reduction: tokens of one cell go through the blocks as one, the mean of their states.

    It lies where the cell's middle token does. What the blocks add to it is added to each token
    of the cell.

    Attributes:
        kept: Rows of the tokens that stay as they are.
        merged: Rows of all others.
        cells: Of each of these, the number of its cell, from 0.
        weights: (cells, merged): row by row, what a cell's mean takes of each.
        middles: Row of the middle token of each cell.
    """

    kept: Tensor
    merged: Tensor
    cells: Tensor
    weights: Tensor
    middles: Tensor

    @property
    def n_kept(self) -> int:
        return len(self.kept) + len(self.middles)

    def reduce(self, hidden: Tensor) -> Tensor:
        return torch.cat([hidden[:, self.kept], self._means(hidden)], dim=1)

    def select(self, table: Tensor) -> Tensor:
        return table[:, torch.cat([self.kept, self.middles])]

    def expand(self, hidden: Tensor, output: Tensor) -> Tensor:
        n = len(self.kept)
        added = output[:, n:] - self._means(hidden)
        expanded = hidden.detach().clone()
        expanded[:, self.kept] = output[:, :n]
        expanded[:, self.merged] += added[:, self.cells]
        return expanded

    def _means(self, hidden: Tensor) -> Tensor:
        # As a product: sums over an index come out differently each time on a GPU.
        return (self.weights @ hidden[:, self.merged].float()).to(hidden.dtype)


def merge_cells(is_merged: Tensor, stride: int, grid: TokenGrid) -> MergedCells:
    """Merges tokens of the grid that are in the same stride x stride cell of their frame.

    Args:
        is_merged: (frames, height, width).
    """
    places = is_merged.nonzero()
    size = places.new_tensor([1, stride, stride])
    cells = torch.unique(places // size, dim=0, return_inverse=True)[1]
    is_in = cells == torch.arange(int(cells.max()) + 1, device=cells.device)[:, None]
    weights = is_in / is_in.sum(1, keepdim=True)
    merged = is_merged.flatten().nonzero()[:, 0]
    is_kept = torch.ones(grid.n_tokens, dtype=torch.bool, device=merged.device)
    is_kept[merged + grid.n_before] = False
    return MergedCells(
        kept=is_kept.nonzero()[:, 0],
        merged=merged + grid.n_before,
        cells=cells,
        weights=weights,
        middles=merged[_nearest_to_mean(places.float(), is_in, weights)] + grid.n_before,
    )


def _nearest_to_mean(places: Tensor, is_in: Tensor, weights: Tensor) -> Tensor:
    distance = torch.cdist(weights @ places, places).masked_fill(~is_in, torch.inf)
    return distance.argmin(1)
