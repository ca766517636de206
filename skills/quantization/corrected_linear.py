"""A quantised linear layer with what is done for its quality around it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from sol.skills.quantization.low_rank import LowRank, find_low_rank

Quantize = Callable[[nn.Linear], nn.Module]
"""Makes a drop-in of a layer and leaves the layer as it is."""


class CorrectedLinear(nn.Module):
    """y = quantised(W - UV)(x / s) + U V x, with s folded into the quantised weight.

    Args:
        smoothing: s, (in,); None for ones.
        low_rank: U and V; None for none.
    """

    inverse: torch.Tensor | None
    up: torch.Tensor | None
    down: torch.Tensor | None

    def __init__(
        self,
        linear: nn.Linear,
        quantize: Quantize,
        smoothing: torch.Tensor | None,
        low_rank: LowRank | None,
    ) -> None:
        super().__init__()
        weight = linear.weight.detach()
        if low_rank is not None:
            weight = weight - low_rank.up @ low_rank.down
        if smoothing is not None:
            weight = weight * smoothing
        self.core = quantize(_with_weight(linear, weight))
        self.register_buffer("inverse", None if smoothing is None else 1 / smoothing)
        self.register_buffer("up", None if low_rank is None else low_rank.up)
        self.register_buffer("down", None if low_rank is None else low_rank.down)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in_features) -> (..., out_features)."""
        output: torch.Tensor = self.core(x if self.inverse is None else x * self.inverse)
        if self.up is None or self.down is None:
            return output
        return output + F.linear(F.linear(x, self.down), self.up)


def quantize_with_care(
    linear: nn.Linear,
    quantize: Quantize,
    rank: int = 0,
    smoothing: torch.Tensor | None = None,
) -> nn.Module:
    """A drop-in for `linear`: quantised as it is where neither knob is used."""
    if rank == 0 and smoothing is None:
        return quantize(linear)
    low_rank = find_low_rank(linear.weight, rank) if rank else None
    return CorrectedLinear(linear, quantize, smoothing, low_rank)


def _with_weight(linear: nn.Linear, weight: torch.Tensor) -> nn.Linear:
    copy = nn.Linear(linear.in_features, linear.out_features, bias=False, device="meta")
    copy.weight = nn.Parameter(weight, requires_grad=False)
    copy.bias = linear.bias
    return copy
