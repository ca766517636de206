"""Blocks that will matter, by the scores of their pooled queries and keys."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

from sol.skills.sparse_attention.selection.ranking import keep_best, n_kept


def score_blocks(query: Tensor, key: Tensor, block: int, unit: int | None = None) -> Tensor:
    """How much attention each block of keys should get from each block of queries.

    Means of `unit` tokens stand for them: one score where the unit is the block, as PISA has it
    (arXiv 2602.01077); with smaller units their softmax, summed over the block's units and
    averaged over the queries', as DFSAttn has it (arXiv 2605.23445).

    Args:
        query, key: (batch, heads, tokens, head_dim), in the order of the sequence.
        unit: Divides the block; None is the block.

    Returns:
        (batch, heads, blocks, blocks); larger is more.
    """
    unit = block if unit is None else unit
    pooled_query, pooled_key = pool_tokens(query, unit), pool_tokens(key, unit)
    scores: Tensor = pooled_query @ pooled_key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if unit == block:
        return scores
    n_tokens, n_blocks = query.shape[2], ceil(query.shape[2] / block)
    shares = torch.softmax(scores, dim=-1)
    padding = n_blocks * (block // unit) - shares.shape[-1]
    shares = torch.nn.functional.pad(shares, (0, padding, 0, padding))
    by_block = shares.reshape(*shares.shape[:2], n_blocks, block // unit, n_blocks, -1).sum((3, 5))
    n_units = _block_lengths(ceil(n_tokens / unit), block // unit).to(shares)
    return by_block / n_units[:, None]


def choose_top_blocks(
    query: Tensor, key: Tensor, block: int, density: float, unit: int | None = None
) -> Tensor:
    """For each block of queries the best-scored share of the blocks of keys.

    Returns:
        Bool, (batch, heads, blocks, blocks).
    """
    scores = score_blocks(query, key, block, unit)
    n_blocks = scores.shape[-1]
    own = torch.eye(n_blocks, dtype=torch.bool, device=scores.device)
    return keep_best(scores, n_kept(density, n_blocks), own)


def pool_tokens(x: Tensor, unit: int) -> Tensor:
    """Means of `unit` tokens in a row, the last of what is left.

    Args:
        x: (batch, heads, tokens, head_dim).

    Returns:
        (batch, heads, ceil(tokens / unit), head_dim), in float32 at least.
    """
    x = x if x.dtype == torch.float64 else x.float()
    batch, heads, n_tokens, head_dim = x.shape
    n_whole = n_tokens // unit
    whole = x[:, :, : n_whole * unit].reshape(batch, heads, n_whole, unit, head_dim).mean(3)
    if n_whole * unit == n_tokens:
        return whole
    return torch.cat([whole, x[:, :, n_whole * unit :].mean(2, keepdim=True)], dim=2)


def _block_lengths(n: int, block: int) -> Tensor:
    lengths = torch.full((ceil(n / block),), block)
    lengths[-1] = n - block * (len(lengths) - 1)
    return lengths
