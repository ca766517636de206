"""For each head the better of two patterns, by the error on a few rows."""

from __future__ import annotations

import torch
from torch import Tensor


def choose_by_error(
    query: Tensor, key: Tensor, value: Tensor, patterns: Tensor, block: int, n_rows: int
) -> Tensor:
    """The pattern of each head that comes closest to full attention on sampled queries.

    Sparse VideoGen, arXiv 2502.01776, section 4.1.

    Args:
        query, key, value: (batch, heads, tokens, head_dim), in the order of the sequence.
        patterns: Bool, (patterns, blocks, blocks).
        n_rows: Queries, taken at even distances.

    Returns:
        Bool, (batch, heads, blocks, blocks).
    """
    n_tokens = query.shape[2]
    rows = torch.linspace(0, n_tokens - 1, min(n_rows, n_tokens), device=query.device).long()
    scores = query[:, :, rows] @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    full = scores.float().softmax(-1).to(value.dtype) @ value
    errors = []
    for pattern in patterns:
        by_token = pattern[rows // block].repeat_interleave(block, dim=1)[:, :n_tokens]
        kept = scores.float().masked_fill(~by_token, -torch.inf).softmax(-1).to(value.dtype)
        errors.append((kept @ value - full).float().square().mean((-1, -2)))
    return patterns[torch.stack(errors).argmin(0)]
