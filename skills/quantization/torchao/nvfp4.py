"""NVFP4 linear layers: 4-bit floats, a float8 scale for 16 of them and one for all (torchao).

Activations are quantised as they come. torchao has it among its prototypes, which may change. Its
kernel that quantises activations needs the mslk package; without it compiled code must fuse that.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import torch

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.quantization.corrected_linear import Quantize
from sol.skills.quantization.install import Quantization, install_quantized
from sol.skills.quantization.settings import QuantizationSettings
from sol.skills.quantization.space import parts, quantization_space
from sol.skills.quantization.torchao.torchao_linear import LayerLimits, quantize_by
from sol.technique import Installed, Phase, Seam, Technique

# Fewer outputs are what torchao's own filter for this format leaves out, for cuBLAS's sake.
LIMITS = LayerLimits("nvfp4", 16, 16, least_out=80, dtype=torch.bfloat16)


@dataclass(frozen=True, kw_only=True)
class NVFP4Config(QuantizationSettings):
    """See `QuantizationSettings`."""


def make_quantize() -> Quantize:
    """NVFP4 weights and activations."""
    from torchao.prototype.mx_formats import NVFP4DynamicActivationNVFP4WeightConfig

    has_kernel = find_spec("mslk") is not None
    return quantize_by(NVFP4DynamicActivationNVFP4WeightConfig(use_triton_kernel=has_kernel))


def install(roles: Roles, config: NVFP4Config, schedule: Schedule, clock: Clock) -> Installed:
    """See `install_quantized`."""
    how = Quantization("nvfp4", config, make_quantize(), LIMITS.find_misfit)
    return install_quantized(roles, how, schedule, clock)


NVFP4 = Technique(
    name="nvfp4",
    skill="quantization",
    summary="4-bit float linear layers with block scales (torchao, Blackwell)",
    exactness="lossy",
    requires=frozenset({Capability.LINEAR_FEED_FORWARD, Capability.NVFP4_TORCHAO}),
    writes=frozenset({Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}),
    phase=Phase.WEIGHTS,
    config=NVFP4Config,
    install=install,
    space=quantization_space,
    protects={"full_first": "first", "full_last": "last"},
    parts=parts,
    schedulable=frozenset({"steps", "layers"}),
    source="github.com/pytorch/ao 0.18, torchao.prototype.mx_formats",
)
