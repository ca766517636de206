"""How far two tensors are apart, as the cache criteria count it."""

from __future__ import annotations

import torch


def mean_abs(tensor: torch.Tensor) -> float:
    """Mean absolute value, in float32."""
    return float(tensor.float().abs().mean())


def relative_l1(now: torch.Tensor, before: torch.Tensor) -> float:
    """|now - before|_1 / |before|_1; infinite where the shapes differ or `before` is zero."""
    if now.shape != before.shape:
        return float("inf")
    scale = mean_abs(before)
    return mean_abs(now.float() - before.float()) / scale if scale > 0 else float("inf")
