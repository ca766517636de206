"""Linear layers in bfloat16 inside of a float32 model.

The weights are converted once, the input in every call, and the output comes back in float32:
norms, residuals and modulation keep their precision, and nothing has to be calibrated.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.kernel_fusion.linear.packed_linear_op import PackedLinear
from sol.skills.quantization.install import Quantization, install_quantized
from sol.skills.quantization.settings import QuantizationSettings
from sol.skills.quantization.space import quantization_space
from sol.space import Space
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

# A floating-point format gains nothing from a spread that is moved from one factor to the other.
_USELESS = ("smooth", "rank")


@dataclass(frozen=True, kw_only=True)
class BF16LinearConfig(QuantizationSettings):
    """See `QuantizationSettings`."""


class BF16Linear(nn.Module):
    """A drop-in for what `inside` computes in bfloat16: same dtype out as in."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in_features) -> (..., out_features)."""
        output: torch.Tensor = self.inside(x.bfloat16())
        return output.to(x.dtype)


def install(roles: Roles, config: BF16LinearConfig, schedule: Schedule, clock: Clock) -> Installed:
    """See `install_quantized`. On a CPU the GELU of a feed-forward is folded in."""
    how = Quantization("bf16_linear", config, _quantize)
    if Capability.PACKED_LINEAR_CPU in roles.capabilities:
        how = replace(how, quantize=_pack, quantize_with_gelu=_pack_with_gelu)
    return install_quantized(roles, how, schedule, clock)


def _quantize(linear: nn.Linear) -> BF16Linear:
    return BF16Linear(_in_bfloat16(linear))


def _pack(linear: nn.Linear) -> BF16Linear:
    return BF16Linear(PackedLinear(_in_bfloat16(linear)))


def _pack_with_gelu(linear: nn.Linear) -> BF16Linear:
    return BF16Linear(PackedLinear(_in_bfloat16(linear), "tanh"))


def _in_bfloat16(linear: nn.Linear) -> nn.Linear:
    return copy.deepcopy(linear).bfloat16().requires_grad_(False)


def space(context: SpaceContext) -> Space:
    """What every quantization has, but for the corrections."""
    whole = quantization_space(context)
    return replace(
        whole,
        knobs=_without_corrections(whole.knobs),
        first=tuple(_without_corrections(config) for config in whole.first),
    )


def _without_corrections(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _USELESS}


BF16_LINEAR = Technique(
    name="bf16_linear",
    skill="quantization",
    summary="linear layers of a float32 model in bfloat16",
    exactness="lossy",
    requires=frozenset({Capability.LINEAR_FEED_FORWARD, Capability.BFLOAT16}),
    writes=frozenset({Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}),
    phase=Phase.WEIGHTS,
    config=BF16LinearConfig,
    install=install,
    space=space,
    protects={"full_first": "first", "full_last": "last"},
    schedulable=frozenset({"steps", "layers"}),
)
