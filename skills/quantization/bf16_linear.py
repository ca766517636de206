"""Linear layers in bfloat16 inside of a float32 model.

The weights are converted once, the input in every call, and the output comes back in float32:
norms, residuals and modulation keep their precision, and no calibration is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
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
    """A drop-in for `nn.Linear` in inference: (..., in) -> (..., out), in the input's dtype."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        bias = None if linear.bias is None else linear.bias.detach().bfloat16()
        self.register_buffer("weight", linear.weight.detach().bfloat16())
        self.register_buffer("bias", bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x.bfloat16(), self.weight, self.bias).to(x.dtype)


def install(roles: Roles, config: BF16LinearConfig, schedule: Schedule, clock: Clock) -> Installed:
    """See `install_quantized`."""
    how = Quantization("bf16_linear", config, BF16Linear)
    return install_quantized(roles, how, schedule, clock)


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
    schedulable=frozenset({"steps", "layers"}),
)
