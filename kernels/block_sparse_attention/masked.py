"""Block-sparse attention by dense attention with a mask: it saves nothing, and runs anywhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sol.kernels.block_sparse_attention.block_means import block_means
from sol.kernels.block_sparse_attention.layout import BlockLayout
from sol.kernels.block_sparse_attention.remainder import Remainder


def find_obstacle(
    device: torch.device,
    dtype: torch.dtype,
    head_dim: int,
    layout: BlockLayout,
    remainder: Remainder,
) -> str | None:
    """None: it runs anywhere."""
    return None


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: BlockLayout,
    remainder: Remainder,
    scale: float,
) -> Tensor:
    """See `block_sparse_attention`; a block of queries at a time, which share their mask."""
    bias = layout.get_form(make_bias, remainder).to(query.dtype)
    if remainder == "mean":
        key = torch.cat([key, block_means(key, layout.block)], dim=2)
        value = torch.cat([value, block_means(value, layout.block)], dim=2)
    outputs = [
        functional.scaled_dot_product_attention(
            part, key, value, attn_mask=bias[:, :, i, None], scale=scale
        )
        for i, part in enumerate(torch.split(query, layout.block, dim=2))
    ]
    return torch.cat(outputs, dim=2)


def make_bias(layout: BlockLayout, remainder: Remainder) -> Tensor:
    """What is added to the scores of keys, and with "mean" of block means after them.

    Returns:
        (1 or batch, heads, n_blocks, n_tokens or n_tokens + n_blocks), a row a query block.
    """
    owner = torch.arange(layout.n_tokens, device=layout.mask.device) // layout.block
    of_keys = torch.zeros(layout.mask.shape, device=layout.mask.device)
    of_keys = of_keys.masked_fill(~layout.mask, -torch.inf)[..., owner]
    if remainder == "drop":
        return of_keys
    of_means = layout.lengths.log().masked_fill(layout.mask, -torch.inf)
    return torch.cat([of_keys, of_means], dim=-1)
