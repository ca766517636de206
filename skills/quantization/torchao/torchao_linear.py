"""A drop-in for a linear layer whose weight is one of torchao's tensors.

torchao is imported where a layer is quantised: a machine without it can still list its techniques.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from sol.skills.quantization.corrected_linear import Quantize


class TorchaoLinear(nn.Module):
    """A drop-in for `nn.Linear` in inference: (..., in_features) -> (..., out_features).

    The weight is no parameter: what reads the storage of parameters (how many bytes they are,
    whether they are still the same) finds none in a tensor that wraps others.
    """

    def __init__(self, weight: torch.Tensor, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias
        self.packed_bytes = _wrapped_bytes(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # NVFP4 takes views of its input.
        return F.linear(x.contiguous(), self.weight, self.bias)


@dataclass(frozen=True)
class LayerLimits:
    """Which layers a format can take.

    Attributes:
        multiple_in: What `in_features` must be a multiple of.
        least_out: Fewest `out_features`.
        dtype: Of the weight; None for any.
    """

    format_name: str
    multiple_in: int
    multiple_out: int
    least_out: int = 0
    dtype: torch.dtype | None = None

    def find_misfit(self, linear: nn.Linear) -> str | None:
        """Why the format cannot take this layer, or None if it can."""
        n_in, n_out, dtype = linear.in_features, linear.out_features, linear.weight.dtype
        if self.dtype is not None and dtype != self.dtype:
            return f"{self.format_name} takes weights in {self.dtype}, and a layer is in {dtype}"
        if n_in % self.multiple_in or n_out % self.multiple_out or n_out < self.least_out:
            return f"{self._shapes()}, and a layer is {n_in} -> {n_out}"
        return None

    def _shapes(self) -> str:
        least = f", at least {self.least_out}" if self.least_out else ""
        return (
            f"{self.format_name} takes inputs in multiples of {self.multiple_in} and outputs in "
            f"multiples of {self.multiple_out}{least}"
        )


def quantize_by(library_config: Any) -> Quantize:
    """Makes a drop-in of a layer as one of torchao's configs says; the layer stays as it is."""

    def quantize(linear: nn.Linear) -> TorchaoLinear:
        from torchao.quantization import quantize_

        shell = nn.Linear(linear.in_features, linear.out_features, bias=False, device="meta")
        # quantize_ puts another tensor in the place of this one, and does not write to it.
        shell.weight = linear.weight
        quantize_(shell, library_config)
        return TorchaoLinear(shell.weight.data, linear.bias)

    return quantize


def _wrapped_bytes(weight: Any) -> int:
    names, _ = weight.__tensor_flatten__()
    return sum(getattr(weight, name).nbytes for name in names)
