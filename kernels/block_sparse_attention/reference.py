"""Block-sparse attention in plain PyTorch: what every path is held to."""

from __future__ import annotations

import torch
from torch import Tensor

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
    """As `block_sparse_attention`, from all scores at once; in float32, or float64 if given that.

    With "mean" it is the softmax over the kept keys k and the left-out blocks j of PISA
    (arXiv 2602.01077, equation 6): exp(q k) against len_j exp(q mean K_j), the latter with the
    value mean V_j.
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    q, k, v = query.to(dtype), key.to(dtype), value.to(dtype)
    owner = torch.arange(layout.n_tokens, device=query.device) // layout.block
    kept = layout.mask[:, :, owner]
    scores = (q @ k.transpose(-1, -2) * scale).masked_fill(~kept[..., owner], -torch.inf)
    if remainder == "mean":
        mean_k, mean_v = (_mean_of_blocks(x, owner, layout.n_blocks) for x in (k, v))
        of_means = q @ mean_k.transpose(-1, -2) * scale + layout.lengths.to(dtype).log()
        scores = torch.cat([scores, of_means.masked_fill(kept, -torch.inf)], dim=-1)
        v = torch.cat([v, mean_v], dim=2)
    return (torch.softmax(scores, dim=-1) @ v).to(query.dtype)


def _mean_of_blocks(x: Tensor, owner: Tensor, n_blocks: int) -> Tensor:
    # Not one_hot: the operator's shapes are inferred from this, and its width depends on data.
    weights = (owner == torch.arange(n_blocks, device=x.device)[:, None]).to(x.dtype)
    return weights / weights.sum(dim=1, keepdim=True) @ x
