"""The keys or the values of one head as a table, from which rows are gathered."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sol.kernels.block_sparse_attention.block_means import block_means
from sol.kernels.block_sparse_attention.layout import BlockLayout

# What the means are padded to. A matrix product over a number of keys that is no multiple of the
# vector's width took up to a third longer, and a whole block of padding is attended to in vain.
_MEANS_A_ROW = 16


@dataclass(frozen=True)
class TableShape:
    """The rows of the blocks, then those of the block means.

    Attributes:
        row: Tokens a row.
        rows_a_block: A short last block is padded to as many.
        first_mean_row: The number of rows before the means.
        n_rows: Of all.
    """

    row: int
    rows_a_block: int
    first_mean_row: int
    n_rows: int


def table_shape(layout: BlockLayout, with_means: bool) -> TableShape:
    """Rows as long as they can be: a gather copies a row at a time."""
    row = math.gcd(layout.block, _MEANS_A_ROW) if with_means else layout.block
    rows_a_block = layout.block // row
    n_block_rows = layout.n_blocks * rows_a_block
    n_mean_rows = -(-layout.n_blocks // row) if with_means else 0
    return TableShape(row, rows_a_block, n_block_rows, n_block_rows + n_mean_rows)


class KeyTable:
    """The table of one head after the other, and what is gathered from it.

    Both are written over each time: fresh memory would have to be paged in each time.
    """

    def __init__(self, x: Tensor, layout: BlockLayout, shape: TableShape, n_rows: int) -> None:
        """Of keys or values (batch, heads, tokens, head_dim), to gather up to `n_rows` at once."""
        self._x = x
        has_means = shape.n_rows > shape.first_mean_row
        self._means = block_means(x, layout.block) if has_means else None
        self._first_mean = shape.first_mean_row * shape.row
        # Zeros: what pads a block has no weight, but must be finite.
        self._tokens = x.new_zeros(shape.n_rows * shape.row, x.shape[-1])
        self._rows = self._tokens.view(shape.n_rows, -1)
        self._gathered = x.new_empty(n_rows, self._rows.shape[1])

    def load(self, sample: int, head: int) -> None:
        """Makes the table that of a head."""
        self._tokens[: self._x.shape[2]] = self._x[sample, head]
        if self._means is not None:
            means = self._means[sample, head]
            self._tokens[self._first_mean : self._first_mean + len(means)] = means

    def gather(self, rows: Tensor) -> Tensor:
        """(query blocks, rows) -> (query blocks, 1, keys, head_dim), until the next call."""
        gathered = self._gathered[: rows.numel()]
        torch.index_select(self._rows, 0, rows.view(-1), out=gathered)
        return gathered.view(len(rows), 1, -1, self._x.shape[-1])
