"""The mean of each block of tokens: what stands for a block that is not attended to."""

from __future__ import annotations

import torch
from torch import Tensor


def block_means(x: Tensor, block: int) -> Tensor:
    """The mean token of each block; the last one is over what it has.

    Args:
        x: (batch, heads, tokens, head_dim).
        block: Tokens a block.

    Returns:
        (batch, heads, n_blocks, head_dim) in the dtype of `x`.
    """
    n_whole, rest = divmod(x.shape[2], block)
    whole = torch.unflatten(x[:, :, : n_whole * block], 2, (n_whole, block)).mean(dim=3)
    if rest == 0:
        return whole
    return torch.cat([whole, x[:, :, n_whole * block :].mean(dim=2, keepdim=True)], dim=2)
