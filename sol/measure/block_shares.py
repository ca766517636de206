"""What a head's output loses where queries attend to some blocks of keys alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from sol.skills.sparse_attention.selection.topk import pool_tokens


@dataclass(frozen=True, eq=False)
class BlockShares:
    """Of one attention, means over its samples.

    Attributes:
        mass: (heads, densities), attention on the blocks with the most of it.
        error: By remainder, (heads, densities), |o' - o| / |o| of the outputs of all rows.
    """

    mass: Tensor
    error: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class _Keys:
    """Keys and values by block, padded to whole ones.

    Attributes:
        value: (samples, heads, blocks, block, head_dim).
        mean_key, mean_value: (samples, heads, blocks, head_dim).
        lengths: (blocks, 1), tokens of each block.
    """

    key: Tensor
    value: Tensor
    mean_key: Tensor
    mean_value: Tensor
    lengths: Tensor

    @property
    def block(self) -> int:
        return self.value.shape[3]

    @property
    def n_blocks(self) -> int:
        return self.value.shape[2]


@dataclass(frozen=True, eq=False)
class _Row:
    """One block of queries: unnormalised softmax weights, and the values that they sum up.

    Attributes:
        weight: (samples, heads, blocks, queries).
        value: (samples, heads, blocks, queries, head_dim).
        mean_weight: As `weight`, of a block's mean in the place of each of its tokens.
    """

    weight: Tensor
    value: Tensor
    mean_weight: Tensor


def compare_densities(
    query: Tensor, key: Tensor, value: Tensor, block: int, rows: Sequence[int], kept: Tensor
) -> BlockShares:
    """Attention to the kept blocks beside attention to all, for some blocks of queries.

    Never holds more than one block of queries against all keys.

    Args:
        query, key, value: (samples, heads, tokens, head_dim), in the order of the blocks.
        rows: Numbers of the blocks of queries.
        kept: Bool, (samples, heads, densities, rows, blocks); no row may keep none.
    """
    keys = _cut(key.float(), value.float(), block)
    mass, norms = [], []
    squares: dict[str, list[Tensor]] = {}
    for place, row in enumerate(rows):
        queries = query[:, :, row * block : (row + 1) * block].float()
        sums = _sum_blocks(queries, keys)
        kept_here = kept[:, :, :, place]
        mass.append(_best_mass(sums, kept_here.sum(-1)))
        dense = sums.value.sum(2) / sums.weight.sum(2)[..., None]
        for name, output in _attend(sums, keys, kept_here).items():
            square = (output - dense[:, :, None]).square().sum((-1, -2))
            squares.setdefault(name, []).append(square)
        norms.append(dense.square().sum((-1, -2)))
    norm = torch.stack(norms).sum(0)[..., None].clamp(min=1e-30)
    return BlockShares(
        mass=torch.stack(mass).mean((0, 1)),
        error={
            name: (torch.stack(of_rows).sum(0) / norm).sqrt().mean(0)
            for name, of_rows in squares.items()
        },
    )


def _cut(key: Tensor, value: Tensor, block: int) -> _Keys:
    n_tokens = key.shape[2]
    n_blocks = ceil(n_tokens / block)
    lengths = torch.full((n_blocks, 1), float(block), device=key.device)
    lengths[-1] = n_tokens - block * (n_blocks - 1)
    padded = functional.pad(value, (0, 0, 0, -n_tokens % block))
    by_block = torch.unflatten(padded, 2, (n_blocks, block))
    return _Keys(key, by_block, pool_tokens(key, block), pool_tokens(value, block), lengths)


def _sum_blocks(query: Tensor, keys: _Keys) -> _Row:
    scale = query.shape[-1] ** -0.5
    scores = query @ keys.key.transpose(-1, -2) * scale
    # A mean scores no higher than the best of what it is the mean of: nothing overflows.
    top = scores.amax(-1, keepdim=True)
    padded = functional.pad((scores - top).exp(), (0, -scores.shape[-1] % keys.block))
    weights = torch.unflatten(padded, -1, (keys.n_blocks, keys.block)).transpose(2, 3)
    mean_scores = keys.mean_key @ query.transpose(-1, -2) * scale
    return _Row(
        weight=weights.sum(-1),
        value=weights @ keys.value,
        mean_weight=keys.lengths * (mean_scores - top.transpose(-1, -2)).exp(),
    )


def _best_mass(sums: _Row, n_keep: Tensor) -> Tensor:
    """(samples, heads, densities): a block of queries has its best blocks together."""
    shares = (sums.weight / sums.weight.sum(2, keepdim=True)).mean(-1)
    return shares.sort(dim=-1, descending=True).values.cumsum(-1).gather(-1, n_keep - 1)


def _attend(sums: _Row, keys: _Keys, kept: Tensor) -> dict[str, Tensor]:
    """(samples, heads, densities, queries, head_dim) by remainder.

    "mean" is the zeroth order of PISA (arXiv 2602.01077, equation 6): a block that is left out
    stands in the same softmax with its length times exp(q . mean key), and with its mean value.
    """
    inside = kept.to(sums.weight)
    # Of all densities at once: (densities, blocks) @ (blocks, queries * head_dim).
    value = torch.unflatten(inside @ sums.value.flatten(3), -1, sums.value.shape[3:])
    weight = inside @ sums.weight
    mean_weight = (1 - inside)[..., None] * sums.mean_weight[:, :, None]
    mean_value = mean_weight.transpose(-1, -2) @ keys.mean_value[:, :, None]
    return {
        # Where all that is kept weighs nothing beside what is left out, so does the output.
        "drop": value / weight[..., None].clamp(min=1e-30),
        "mean": (value + mean_value) / (weight + mean_weight.sum(3))[..., None],
    }
