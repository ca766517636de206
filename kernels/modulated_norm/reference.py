"""The modulated norm in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor


def modulated_norm_reference(
    x: Tensor, scale: Tensor, shift: Tensor, weight: Tensor | None, norm: str, eps: float
) -> Tensor:
    """As `modulated_norm`, without its checks."""
    value = normalise(x.float(), weight, norm, eps)
    return (value * (1 + scale.float()) + shift.float()).to(x.dtype).contiguous()


def normalise(value: Tensor, weight: Tensor | None, norm: str, eps: float) -> Tensor:
    """The norm of float32 rows with its weight, if it has one."""
    if norm == "layer":
        value = value - value.mean(-1, keepdim=True)
    value = value * torch.rsqrt(value.square().mean(-1, keepdim=True) + eps)
    return value if weight is None else value * weight.float()
