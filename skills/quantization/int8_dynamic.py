"""Int8 linear layers on a CPU: weights per output channel, activations with one scale a call.

PyTorch's quantized::linear_dynamic (oneDNN or FBGEMM underneath): weights symmetric int8 with one
scale for each output channel, activations asymmetric uint8 with one scale for each call. Dynamo
cannot trace the operator: `int8_rows` is the form for compiled blocks.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import nn

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.quantization.install import Quantization, install_quantized
from sol.skills.quantization.settings import QuantizationSettings
from sol.skills.quantization.space import parts, quantization_space
from sol.technique import Installed, Phase, Seam, Technique

# The scale maps the largest weight to the end of the signed 8-bit range.
_INT8_MAX = 127.0


@dataclass(frozen=True, kw_only=True)
class Int8DynamicConfig(QuantizationSettings):
    """See `QuantizationSettings`."""


class Int8DynamicLinear(nn.Module):
    """A drop-in for `nn.Linear` in inference: (..., in_features) -> (..., out_features)."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.packed = _pack(linear.weight.detach(), linear.bias)
        # One byte a weight, and a float32 bias, a float64 scale and an int64 zero point a row.
        self.packed_bytes = linear.weight.numel() + linear.out_features * (4 + 8 + 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = torch.ops.quantized.linear_dynamic(x, self.packed, False)
        return output


def _pack(weight: torch.Tensor, bias: torch.Tensor | None) -> torch.ScriptObject:
    scales = (weight.abs().amax(dim=1) / _INT8_MAX).clamp(min=1e-12).double()
    zeros = torch.zeros(len(scales), dtype=torch.long)
    with warnings.catch_warnings():
        # The quantised tensor types are to be removed from PyTorch some day; linear_prepack
        # takes no other. The exact torch version of a recipe is recorded with it.
        warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
        quantized = torch.quantize_per_channel(weight.float(), scales, zeros, 0, torch.qint8)
    detached = None if bias is None else bias.detach().float()
    packed: torch.ScriptObject = torch.ops.quantized.linear_prepack(quantized, detached)
    return packed


def install(
    roles: Roles, config: Int8DynamicConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """See `install_quantized`."""
    how = Quantization("int8_dynamic", config, Int8DynamicLinear)
    return install_quantized(roles, how, schedule, clock)


INT8_DYNAMIC = Technique(
    name="int8_dynamic",
    skill="quantization",
    summary="int8 linear layers, activations quantised on the fly, one scale a call (CPU)",
    exactness="lossy",
    requires=frozenset({Capability.INT8_DYNAMIC_CPU}),
    writes=frozenset({Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}),
    phase=Phase.WEIGHTS,
    config=Int8DynamicConfig,
    install=install,
    space=quantization_space,
    protects={"full_first": "first", "full_last": "last"},
    parts=parts,
    schedulable=frozenset({"steps", "layers"}),
)
