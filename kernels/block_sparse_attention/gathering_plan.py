"""Which rows of a head's key table are gathered for which of its query blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from sol.kernels.block_sparse_attention.key_table import TableShape
from sol.kernels.block_sparse_attention.layout import BlockLayout


@dataclass(frozen=True)
class Chunk:
    """Query blocks that attend to equally many keys, in one call.

    Attributes:
        queries: Which these are, in the order of their head's plan.
        rows: (query blocks, rows), of the key table.
        bias: (query blocks, 1, 1, keys), added to the scores; None where nothing is.
    """

    queries: slice
    rows: Tensor
    bias: Tensor | None


@dataclass(frozen=True)
class HeadPlan:
    """What is computed for a head.

    Attributes:
        order: (n_blocks,), of the query blocks; None where they stay as they are.
    """

    chunks: tuple[Chunk, ...]
    order: Tensor | None


@dataclass(frozen=True)
class _Sorted:
    """The query blocks of a head by how many key blocks they keep.

    Attributes:
        queries: In that order.
        groups: (blocks kept, query blocks) of those that keep equally many.
    """

    queries: list[int]
    groups: list[tuple[int, int]]

    @property
    def is_moved(self) -> bool:
        """Whether the order is not that of the sequence."""
        return len(self.groups) > 1 and self.queries != sorted(self.queries)


def make_gathering_plan(
    layout: BlockLayout, shape: TableShape, chunk_keys: int
) -> tuple[HeadPlan, ...]:
    """The plans of all heads of the mask, those of one sample after those of the other.

    To pad query blocks that keep less, so that more of them share a call, gained nothing: calls
    with a mask take longer.

    Args:
        layout: The kept blocks.
        shape: Of the key table, with means or without.
        chunk_keys: Keys to gather for one call; more where one query block keeps more.
    """
    # In lists: of an operator on so few numbers nearly all is the call.
    heads = [_sort(counts) for counts in layout.mask.sum(dim=-1).flatten(0, 1).tolist()]
    groups = _rows_and_biases(heads, layout, shape)
    plans = []
    for head in heads:
        chunks: list[Chunk] = []
        # Each head takes as many groups as it has, and leaves the others to the next.
        for (_, size), (rows, bias) in zip(head.groups, groups, strict=False):
            start = chunks[-1].queries.stop if chunks else 0
            n_calls = ceil(rows.numel() * shape.row / chunk_keys)
            chunks.extend(_cut(start, rows, bias, ceil(size / n_calls)))
        order = torch.tensor(head.queries) if head.is_moved else None
        plans.append(HeadPlan(tuple(chunks), order))
    return tuple(plans)


def _sort(counts: list[int]) -> _Sorted:
    queries = sorted(range(len(counts)), key=counts.__getitem__)
    groups = groupby(counts[query] for query in queries)
    return _Sorted(queries, [(n_kept, len(list(group))) for n_kept, group in groups])


def _rows_and_biases(
    heads: list[_Sorted], layout: BlockLayout, shape: TableShape
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Those of `Chunk`, for each group of each head."""
    mask = _in_order(layout.mask.flatten(0, 2), heads)
    groups = [group for head in heads for group in head.groups]
    kept = torch.split(_rows_of_kept(mask, shape), [n_kept * size for n_kept, size in groups])
    masks = torch.split(mask, [size for _, size in groups])
    of_means = torch.arange(shape.first_mean_row, shape.n_rows, device=mask.device)
    for (n_kept, size), own_mask, own_rows in zip(groups, masks, kept, strict=True):
        rows = own_rows.view(size, -1)
        if len(of_means) > 0:
            rows = torch.cat([rows, of_means.expand(size, -1)], dim=1)
        yield rows, _bias(own_mask, n_kept, layout, len(of_means) * shape.row)


def _in_order(mask: Tensor, heads: list[_Sorted]) -> Tensor:
    """(query blocks of all heads, n_blocks), as they are sorted."""
    if not any(head.is_moved for head in heads):
        return mask
    n_blocks = mask.shape[1]
    order = [n * n_blocks + query for n, head in enumerate(heads) for query in head.queries]
    return mask[torch.tensor(order)]


def _rows_of_kept(mask: Tensor, shape: TableShape) -> Tensor:
    """(kept pairs, rows a block); one query block after the other, the key blocks ascending."""
    blocks = mask.nonzero()[:, 1]
    within = torch.arange(shape.rows_a_block, device=mask.device)
    return blocks[:, None] * shape.rows_a_block + within


def _bias(mask: Tensor, n_kept: int, layout: BlockLayout, n_means: int) -> Tensor | None:
    """What is added to the scores of kept blocks and then of `n_means` means.

    Nothing for a token, and for a mean as much as counts it once for each token of its block.
    Minus infinity for what pads the last block, for the means of kept blocks and what pads them.

    Args:
        mask: (query blocks, n_blocks), of which each row keeps `n_kept`.
    """
    n_padding = layout.n_blocks * layout.block - layout.n_tokens
    if n_padding == 0 and n_means == 0:
        return None
    n_keys = n_kept * layout.block
    bias = torch.zeros(len(mask), n_keys + n_means, device=mask.device)
    bias[:, n_keys - n_padding : n_keys].masked_fill_(mask[:, -1:], -torch.inf)
    if n_means > 0:
        of_means = layout.lengths.log().masked_fill(mask, -torch.inf)
        padding = (0, n_means - layout.n_blocks)
        bias[:, n_keys:] = functional.pad(of_means, padding, value=-torch.inf)
    return bias[:, None, None]


def _cut(start: int, rows: Tensor, bias: Tensor | None, size: int) -> Iterator[Chunk]:
    """In pieces of `size` query blocks, of which the first is `start`."""
    pieces = torch.split(rows, size)
    biases = [None] * len(pieces) if bias is None else torch.split(bias, size)
    for piece, its_bias in zip(pieces, biases, strict=True):
        yield Chunk(slice(start, start + len(piece)), piece, its_bias)
        start += len(piece)
