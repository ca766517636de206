"""Weights in few bits, arithmetic as before (torchao): for memory, not for time.

Every call turns the weights back into the precision of the activations: what is saved is their
memory, and its traffic where a call has few tokens. A video has many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from sol.clock import Clock
from sol.errors import NotApplicableError
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.quantization.corrected_linear import Quantize
from sol.skills.quantization.install import Quantization, install_quantized
from sol.skills.quantization.settings import QuantizationSettings
from sol.skills.quantization.space import quantization_space
from sol.skills.quantization.torchao.torchao_linear import LayerLimits, quantize_by
from sol.space import Choice, Space
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

WeightFormat = Literal["int8", "fp8", "int4"]
GroupSize = Literal[32, 64, 128, 256]

_NEEDS: dict[WeightFormat, Capability] = {
    "int8": Capability.TORCHAO,
    "fp8": Capability.FP8_TORCHAO,
    "int4": Capability.INT4_TORCHAO,
}


@dataclass(frozen=True, kw_only=True)
class WeightOnlyConfig(QuantizationSettings):
    """Settings besides those of `QuantizationSettings`.

    Attributes:
        format: Of the weights; int8 and fp8 have a scale for each output channel.
        group_size: Inputs of a channel that share a scale and a zero point in int4.
    """

    format: WeightFormat = "int8"
    group_size: GroupSize = 128


def make_quantize(config: WeightOnlyConfig) -> Quantize:
    """Weights in the config's format, activations as they are."""
    from torchao.quantization import (
        Float8WeightOnlyConfig,
        Int4WeightOnlyConfig,
        Int8WeightOnlyConfig,
    )

    # The recommended Inductor settings are of the whole process, and nothing would undo them.
    by_format: dict[WeightFormat, Any] = {
        "int8": Int8WeightOnlyConfig(set_inductor_config=False),
        "fp8": Float8WeightOnlyConfig(set_inductor_config=False),
        "int4": Int4WeightOnlyConfig(
            group_size=config.group_size,
            # Of the layouts the one whose kernel is PyTorch's own; the default needs mslk.
            int4_packing_format="tile_packed_to_4d",
            set_inductor_config=False,
        ),
    }
    return quantize_by(by_format[config.format])


def find_limits(config: WeightOnlyConfig) -> LayerLimits:
    """Which layers the config's format takes."""
    if config.format == "int4":
        name = f"int4 in groups of {config.group_size}"
        return LayerLimits(name, config.group_size, 1, dtype=torch.bfloat16)
    return LayerLimits(config.format, 1, 1)


def install(roles: Roles, config: WeightOnlyConfig, schedule: Schedule, clock: Clock) -> Installed:
    """See `install_quantized`.

    Raises:
        NotApplicableError: The device cannot compute with the config's format.
    """
    needed = _NEEDS[config.format]
    if needed not in roles.capabilities:
        reason = roles.lacks.get(needed, f"it needs {needed}, which is not there")
        raise NotApplicableError(f"{config.format} weights do not apply here: {reason}")
    limits = find_limits(config)
    how = Quantization("weight_only", config, make_quantize(config), limits.find_misfit)
    return install_quantized(roles, how, schedule, clock)


def space(context: SpaceContext) -> Space:
    """The formats that the device has, beside what every quantization has."""
    there = context.roles.capabilities
    options = tuple(name for name, needed in _NEEDS.items() if needed in there)
    return quantization_space(context, {"format": Choice(options)})


WEIGHT_ONLY = Technique(
    name="weight_only",
    skill="quantization",
    summary="weights of linear layers in int8, fp8 or int4, to save memory (torchao)",
    exactness="lossy",
    requires=frozenset({Capability.LINEAR_FEED_FORWARD, Capability.TORCHAO}),
    writes=frozenset({Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}),
    phase=Phase.WEIGHTS,
    config=WeightOnlyConfig,
    install=install,
    space=space,
    protects={"full_first": "first", "full_last": "last"},
    schedulable=frozenset({"steps", "layers"}),
    saves=lambda diagnosis: 0.0,
    source="github.com/pytorch/ao 0.18",
)
