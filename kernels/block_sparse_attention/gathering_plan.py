"""Which rows of a head's key table are gathered for which of its query blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from sol.kernels.block_sparse_attention.key_table import TableShape
from sol.kernels.block_sparse_attention.layout import BlockLayout


@dataclass(frozen=True)
class Chunk:
    """Query blocks of a head that attend to equally many keys, in one call.

    Attributes:
        queries: Which these are.
        rows: (query blocks, rows), of the key table.
        bias: (query blocks, 1, 1, keys), added to the scores; None where nothing is.
    """

    queries: Tensor | slice
    rows: Tensor
    bias: Tensor | None


GatheringPlan = tuple[tuple[Chunk, ...], ...]
"""The chunks of each head; the heads of one sample after those of the other."""


@dataclass(frozen=True)
class _Group:
    """Query blocks of a head that keep equally many key blocks.

    Attributes:
        head: Counted over all samples.
        queries: Ascending.
        keeps_last: Whether the last key block is kept, which may be short.
    """

    head: int
    queries: list[int]
    n_kept: int
    keeps_last: bool


def make_gathering_plan(layout: BlockLayout, shape: TableShape, chunk_keys: int) -> GatheringPlan:
    """Query blocks that keep equally many key blocks share calls, in which none is padded.

    Args:
        layout: The kept blocks.
        shape: Of the key table, with means or without.
        chunk_keys: Keys to gather for one call; more where one query block keeps more.
    """
    groups, mask = _group(layout)
    sizes = [len(group.queries) for group in groups]
    n_pairs = [group.n_kept * size for group, size in zip(groups, sizes, strict=True)]
    kept = torch.split(_rows_of_kept(mask, shape), n_pairs)
    of_means = torch.arange(shape.first_mean_row, shape.n_rows, device=mask.device)
    bias_of_means = _bias_of_means(mask, layout, len(of_means) * shape.row)
    biases = torch.split(bias_of_means, sizes)
    heads: list[list[Chunk]] = [[] for _ in range(layout.mask.shape[:2].numel())]
    for group, size, own, mean_bias in zip(groups, sizes, kept, biases, strict=True):
        rows = torch.cat([own.view(size, -1), of_means.expand(size, -1)], dim=1)
        bias = _bias(group, layout, mean_bias)
        n_calls = ceil(size * rows.shape[1] * shape.row / chunk_keys)
        heads[group.head].extend(_cut(group.queries, rows, bias, ceil(size / n_calls)))
    return tuple(tuple(chunks) for chunks in heads)


def _group(layout: BlockLayout) -> tuple[list[_Group], Tensor]:
    """The groups, and the mask with the query blocks of all heads in the order of the groups."""
    n_blocks = layout.n_blocks
    mask = layout.mask.flatten(0, 2)
    heads = torch.arange(len(mask), device=mask.device) // n_blocks
    n_kinds = 2 * n_blocks + 2
    kinds, order = (heads * n_kinds + 2 * mask.sum(dim=1) + mask[:, -1]).sort(stable=True)
    values, sizes = torch.unique_consecutive(kinds, return_counts=True)
    parts = torch.split(order % n_blocks, sizes.tolist())
    groups = []
    for value, part in zip(values.tolist(), parts, strict=True):
        head, kind = divmod(value, n_kinds)
        groups.append(_Group(head, part.tolist(), kind // 2, kind % 2 == 1))
    return groups, mask[order]


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


def _bias(group: _Group, layout: BlockLayout, of_means: Tensor) -> Tensor | None:
    """For the tokens of the kept blocks, of which those that pad the last do not count."""
    n_padding = layout.n_blocks * layout.block - layout.n_tokens if group.keeps_last else 0
    if n_padding == 0 and of_means.shape[1] == 0:
        return None
    of_kept = of_means.new_zeros(len(of_means), group.n_kept * layout.block)
    of_kept[:, of_kept.shape[1] - n_padding :] = -torch.inf
    return torch.cat([of_kept, of_means], dim=1)[:, None, None]


def _cut(queries: list[int], rows: Tensor, bias: Tensor | None, size: int) -> Iterator[Chunk]:
    """In pieces of `size` query blocks."""
    for start in range(0, len(queries), size):
        piece = slice(start, start + size)
        yield Chunk(_index(queries[piece]), rows[piece], None if bias is None else bias[piece])


def _index(queries: list[int]) -> Tensor | slice:
    """A slice where they are neighbours: it copies nothing."""
    first, last = queries[0], queries[-1]
    if last - first == len(queries) - 1:
        return slice(first, last + 1)
    return torch.tensor(queries)
