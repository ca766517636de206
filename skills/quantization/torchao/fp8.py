"""Float8 (e4m3) linear layers, activations scaled as they come (torchao), on GPUs that have it.

With a scale for each row of activations and weights, one for each whole tensor, or one for each
1x128 of the activations and 128x128 of the weights (as DeepSeek-V3 has it, arXiv 2412.19437).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from sol.clock import Clock
from sol.errors import NotApplicableError
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.quantization.corrected_linear import Quantize
from sol.skills.quantization.install import Quantization, install_quantized
from sol.skills.quantization.settings import QuantizationSettings
from sol.skills.quantization.space import parts, quantization_space
from sol.skills.quantization.torchao.torchao_linear import LayerLimits, quantize_by
from sol.space import Choice, Space
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

Granularity = Literal["row", "tensor", "block"]

_BLOCK = 128
LIMITS = LayerLimits("fp8", multiple_in=16, multiple_out=16, dtype=torch.bfloat16)
BLOCK_LIMITS = LayerLimits("fp8 in blocks", _BLOCK, _BLOCK, dtype=torch.bfloat16)


def find_misfit(linear: nn.Linear, granularity: Granularity) -> str | None:
    """Why fp8 of this granularity cannot take a layer, or None if it can."""
    limits = BLOCK_LIMITS if granularity == "block" else LIMITS
    misfit = limits.find_misfit(linear)
    is_one_block = linear.in_features == linear.out_features == _BLOCK
    if misfit is None and granularity == "tensor" and is_one_block:
        return (
            "torchao 0.18 takes a whole tensor of 128x128 for a block and refuses its activations"
        )
    return misfit


@dataclass(frozen=True, kw_only=True)
class FP8Config(QuantizationSettings):
    """Settings besides those of `QuantizationSettings`.

    Attributes:
        granularity: What shares a scale.
    """

    granularity: Granularity = "row"


def make_quantize(granularity: Granularity) -> Quantize:
    """Float8 weights and activations, scaled by their largest magnitudes."""
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        PerBlock,
        PerRow,
        PerTensor,
    )

    shared: dict[Granularity, Any] = {
        "row": PerRow(),
        "tensor": PerTensor(),
        "block": [PerBlock([1, _BLOCK]), PerBlock([_BLOCK, _BLOCK])],
    }
    # The recommended Inductor settings are of the whole process, and nothing would undo them.
    return quantize_by(
        Float8DynamicActivationFloat8WeightConfig(
            granularity=shared[granularity], set_inductor_config=False
        )
    )


def install(roles: Roles, config: FP8Config, schedule: Schedule, clock: Clock) -> Installed:
    """See `install_quantized`.

    Raises:
        NotApplicableError: Blocks without triton, in which torchao's kernel for them is written.
    """
    granularity = config.granularity
    if granularity == "block" and Capability.INDUCTOR not in roles.capabilities:
        raise NotApplicableError(
            "fp8 in blocks does not apply to this pipeline: its kernel needs triton. "
            "Install triton, or set granularity to 'row'."
        )
    how = Quantization(
        "fp8", config, make_quantize(granularity), lambda linear: find_misfit(linear, granularity)
    )
    return install_quantized(roles, how, schedule, clock)


def space(context: SpaceContext) -> Space:
    """What shares a scale, beside what every quantization has."""
    has_triton = Capability.INDUCTOR in context.roles.capabilities
    options = ("row", "tensor", "block") if has_triton else ("row", "tensor")
    return quantization_space(context, {"granularity": Choice(options)})


FP8 = Technique(
    name="fp8",
    skill="quantization",
    summary="float8 linear layers, activations scaled as they come (torchao, CUDA)",
    exactness="lossy",
    requires=frozenset({Capability.LINEAR_FEED_FORWARD, Capability.FP8_TORCHAO}),
    writes=frozenset({Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}),
    phase=Phase.WEIGHTS,
    config=FP8Config,
    install=install,
    space=space,
    protects={"full_first": "first", "full_last": "last"},
    parts=parts,
    schedulable=frozenset({"steps", "layers"}),
    source="github.com/pytorch/ao 0.18",
)
