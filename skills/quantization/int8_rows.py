"""Int8 linear layers on a CPU with one activation scale a token, made for compiled code.

Weights symmetric int8 with one scale for each output channel; activations asymmetric uint8 with a
scale and a zero point for each row, found on the fly. The product is oneDNN's; what stands around
it (ranges, rounding, rescaling, bias, the GELU of a feed-forward) is compiled: each layer by
itself, or together with the block where the block is compiled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.quantization.install import Quantization, install_quantized
from sol.skills.quantization.int8_product import int8_product, pack_int8
from sol.skills.quantization.settings import QuantizationSettings
from sol.skills.quantization.space import parts, quantization_space
from sol.technique import Installed, Phase, Seam, Technique

_INT8_MAX = 127.0
_UINT8_MAX = 255.0
# GELU's approximation: u = sqrt(2 / pi) (x + 0.044715 x^3), arXiv 1606.08415.
_TWICE_ROOT = 2.0 * math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715
_LEAST = 1e-12
"""Keeps the scale of a row or channel of zeros from being zero."""


@dataclass(frozen=True, kw_only=True)
class Int8RowsConfig(QuantizationSettings):
    """See `QuantizationSettings`."""


class Int8RowsLinear(nn.Module):
    """A drop-in for `nn.Linear` in inference: float32 (..., in) -> (..., out).

    With x = s (q - z) for each row and W = t w for each output channel,
    x W^T = s (q (t w)^T - z sum(t w)): the second term is a rank-one correction.
    """

    packed: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    sums: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scales = (weight.abs().amax(dim=1) / _INT8_MAX).clamp(min=_LEAST)
        rounded = (weight / scales[:, None]).round().to(torch.int8)
        self.register_buffer("packed", pack_int8(rounded))
        self.register_buffer("scales", scales)
        self.register_buffer("zeros", torch.zeros(len(scales), dtype=torch.int64))
        self.register_buffer("sums", rounded.float().sum(dim=1) * scales)
        self.bias = linear.bias
        # oneDNN's layout has no storage to be counted.
        self.packed_bytes = weight.numel()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = x.amin(dim=-1, keepdim=True).clamp(max=0.0)
        high = x.amax(dim=-1, keepdim=True).clamp(min=0.0)
        scale = ((high - low) / _UINT8_MAX).clamp(min=_LEAST)
        inverse = 1.0 / scale
        zero = (-low * inverse).round()
        quantized = ((x * inverse).round() + zero).clamp(0.0, _UINT8_MAX).to(torch.uint8)
        product = int8_product(quantized, self.packed, self.scales, self.zeros)
        output = (product - zero * self.sums) * scale
        return output if self.bias is None else output + self.bias


class Int8RowsGELU(nn.Module):
    """A drop-in for a linear layer and the GELU after it, in the form that tanh approximates.

    0.5 x (1 + tanh(u)) = x sigmoid(2u): the same to rounding, and compiled code has a sigmoid that
    takes half as long as its tanh.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = Int8RowsLinear(linear)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in_features) -> (..., out_features)."""
        y: torch.Tensor = self.linear(x)
        return y * torch.sigmoid(_TWICE_ROOT * (y + _CUBIC * y * y * y))


def _quantize(linear: nn.Linear) -> nn.Module:
    return _compiled(Int8RowsLinear(linear))


def _quantize_with_gelu(linear: nn.Linear) -> nn.Module:
    return _compiled(Int8RowsGELU(linear))


def _compiled(layer: nn.Module) -> nn.Module:
    # Around a block that is compiled as a whole, Dynamo goes through to what is inside.
    layer.compile()
    return layer


def install(roles: Roles, config: Int8RowsConfig, schedule: Schedule, clock: Clock) -> Installed:
    """See `install_quantized`."""
    how = Quantization("int8_rows", config, _quantize, quantize_with_gelu=_quantize_with_gelu)
    return install_quantized(roles, how, schedule, clock)


INT8_ROWS = Technique(
    name="int8_rows",
    skill="quantization",
    summary="int8 linear layers, one activation scale a token, for compiled code (CPU)",
    exactness="lossy",
    requires=frozenset({Capability.INT8_DYNAMIC_CPU, Capability.INT8_VNNI, Capability.INDUCTOR}),
    writes=frozenset({Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}),
    phase=Phase.WEIGHTS,
    config=Int8RowsConfig,
    install=install,
    space=quantization_space,
    protects={"full_first": "first", "full_last": "last"},
    parts=parts,
    schedulable=frozenset({"steps", "layers"}),
)
