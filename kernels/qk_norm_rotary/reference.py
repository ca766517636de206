"""Norm and rotary embedding of queries and keys in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from sol.kernels.modulated_norm.reference import normalise

HEADS_SHARE_RANK = 4
"""Rank of tables that all heads share; tables for the whole width have one axis less."""


def qk_norm_rotary_reference(
    q: Tensor, k: Tensor, q_weight: Tensor, k_weight: Tensor, cos: Tensor, sin: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """As `qk_norm_rotary`, without its checks."""
    rotate = _rotate_pairs if cos.dim() == HEADS_SHARE_RANK else _rotate_columns
    q_out = rotate(normalise(q.float(), q_weight, "rms", eps), cos.float(), sin.float())
    k_out = rotate(normalise(k.float(), k_weight, "rms", eps), cos.float(), sin.float())
    return q_out.to(q.dtype).contiguous(), k_out.to(k.dtype).contiguous()


def _rotate_columns(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """diffusers' apply_rotary_emb of LTX."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return x * cos + torch.stack([-odd, even], dim=-1).flatten(-2) * sin


def _rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """diffusers' apply_rotary_emb of Wan."""
    heads = x.reshape(*x.shape[:-1], -1, cos.shape[-1])
    even, odd = heads[..., 0::2], heads[..., 1::2]
    cos, sin = cos[..., 0::2], sin[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)
