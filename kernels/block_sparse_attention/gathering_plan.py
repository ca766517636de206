"""Which rows of a head's key table are gathered for which of its query blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
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
class _Group:
    """Query blocks of a head that keep equally many key blocks: neighbours, once sorted.

    Attributes:
        head: Counted over all samples.
        start: The first of them in their head.
    """

    head: int
    n_kept: int
    start: int
    n_queries: int


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
    order, groups = _sort(layout)
    chunks: list[list[Chunk]] = [[] for _ in range(layout.mask.shape[:2].numel())]
    for group, rows, bias in _gathered(groups, order, layout, shape):
        n_calls = ceil(rows.numel() * shape.row / chunk_keys)
        size = ceil(group.n_queries / n_calls)
        chunks[group.head].extend(_cut(group.start, rows, bias, size))
    places = order.view(-1, layout.n_blocks) % layout.n_blocks
    are_moved = (places[:, 1:] < places[:, :-1]).any(dim=1).tolist()
    return tuple(
        HeadPlan(tuple(own), own_order if is_moved else None)
        for own, own_order, is_moved in zip(chunks, places, are_moved, strict=True)
    )


def _sort(layout: BlockLayout) -> tuple[Tensor, list[_Group]]:
    """The query blocks of each head by how many key blocks they keep.

    Returns:
        Their order, over all heads, which stay together, and the groups in this order.
    """
    n_blocks = layout.n_blocks
    counts = layout.mask.sum(dim=-1).flatten()
    heads = torch.arange(len(counts), device=counts.device) // n_blocks
    kinds, order = (heads * (n_blocks + 1) + counts).sort(stable=True)
    values, sizes = (x.tolist() for x in torch.unique_consecutive(kinds, return_counts=True))
    groups = []
    for kind, size, stop in zip(values, sizes, accumulate(sizes), strict=True):
        head, n_kept = divmod(kind, n_blocks + 1)
        groups.append(_Group(head, n_kept, (stop - size) % n_blocks, size))
    return order, groups


def _gathered(
    groups: list[_Group], order: Tensor, layout: BlockLayout, shape: TableShape
) -> Iterator[tuple[_Group, Tensor, Tensor | None]]:
    """Each group with its rows and bias, see `Chunk`."""
    mask = layout.mask.flatten(0, 2)[order]
    sizes = [group.n_queries for group in groups]
    n_pairs = [group.n_queries * group.n_kept for group in groups]
    of_means = torch.arange(shape.first_mean_row, shape.n_rows, device=mask.device)
    bias_of_means = _bias_of_means(mask, layout, len(of_means) * shape.row)
    for group, rows, keeps_last, bias in zip(
        groups,
        torch.split(_rows_of_kept(mask, shape), n_pairs),
        torch.split(mask[:, -1:], sizes),
        torch.split(bias_of_means, sizes),
        strict=True,
    ):
        of_blocks = rows.view(group.n_queries, -1)
        all_rows = torch.cat([of_blocks, of_means.expand(group.n_queries, -1)], dim=1)
        yield group, all_rows, _bias(group.n_kept, keeps_last, layout, bias)


def _rows_of_kept(mask: Tensor, shape: TableShape) -> Tensor:
    """(kept pairs, rows a block); one query block after the other, the key blocks ascending."""
    blocks = mask.nonzero()[:, 1]
    within = torch.arange(shape.rows_a_block, device=mask.device)
    return blocks[:, None] * shape.rows_a_block + within


def _bias_of_means(mask: Tensor, layout: BlockLayout, n_tokens: int) -> Tensor:
    """(query blocks, n_tokens), a mean counting as often as its block has tokens.

    Those of kept blocks, and what pads the means to `n_tokens`, do not count.
    """
    if n_tokens == 0:
        return mask.new_empty(len(mask), 0, dtype=torch.float32)
    bias = layout.lengths.log().masked_fill(mask, -torch.inf)
    return functional.pad(bias, (0, n_tokens - layout.n_blocks), value=-torch.inf)


def _bias(n_kept: int, keeps_last: Tensor, layout: BlockLayout, of_means: Tensor) -> Tensor | None:
    """Of the tokens of the kept blocks, among which padding does not count, and of the means.

    Args:
        n_kept: Blocks of each query block.
        keeps_last: (query blocks, 1), whether the last block, which may be padded, is the last.
        of_means: (query blocks, tokens).
    """
    n_padding = layout.n_blocks * layout.block - layout.n_tokens
    n_queries, n_means = of_means.shape
    if n_padding == 0 and n_means == 0:
        return None
    n_keys = n_kept * layout.block
    bias = of_means.new_zeros(n_queries, n_keys + n_means)
    bias[:, n_keys - n_padding : n_keys].masked_fill_(keeps_last, -torch.inf)
    bias[:, n_keys:] = of_means
    return bias[:, None, None]


def _cut(start: int, rows: Tensor, bias: Tensor | None, size: int) -> Iterator[Chunk]:
    """In pieces of `size` query blocks, of which the first is `start`."""
    pieces = torch.split(rows, size)
    biases = [None] * len(pieces) if bias is None else torch.split(bias, size)
    for piece, its_bias in zip(pieces, biases, strict=True):
        yield Chunk(slice(start, start + len(piece)), piece, its_bias)
        start += len(piece)
