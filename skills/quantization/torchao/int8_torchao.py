"""Int8 linear layers: weights per output channel, activations per row as they come (torchao).

The integer product is cuBLAS's on a GPU and oneDNN's on a CPU. The rounding and rescaling around
it are many small operations, which only compiled code fuses: on a CPU with VNNI a transformer of
this kind took 1.5 times as long as in float32, and 0.7 times once both were compiled.
"""

from __future__ import annotations

from dataclasses import dataclass

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.quantization.corrected_linear import Quantize
from sol.skills.quantization.install import Quantization, install_quantized
from sol.skills.quantization.settings import QuantizationSettings
from sol.skills.quantization.space import parts, quantization_space
from sol.skills.quantization.torchao.torchao_linear import LayerLimits, quantize_by
from sol.technique import Installed, Phase, Seam, Technique

# cuBLAS's; torchao computes other shapes in int32, on the CPU.
LIMITS = LayerLimits("int8", multiple_in=8, multiple_out=8)


@dataclass(frozen=True, kw_only=True)
class Int8TorchaoConfig(QuantizationSettings):
    """See `QuantizationSettings`."""


def make_quantize() -> Quantize:
    """Int8 weights and activations, symmetric, with a scale for each row of either."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig

    # The recommended Inductor settings are of the whole process, and nothing would undo them.
    return quantize_by(Int8DynamicActivationInt8WeightConfig(set_inductor_config=False))


def install(
    roles: Roles, config: Int8TorchaoConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """See `install_quantized`."""
    how = Quantization("int8_torchao", config, make_quantize(), LIMITS.find_misfit)
    return install_quantized(roles, how, schedule, clock)


INT8_TORCHAO = Technique(
    name="int8_torchao",
    skill="quantization",
    summary="int8 linear layers, one activation scale a token (torchao)",
    exactness="lossy",
    requires=frozenset({Capability.LINEAR_FEED_FORWARD, Capability.INT8_TORCHAO}),
    writes=frozenset({Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}),
    phase=Phase.WEIGHTS,
    config=Int8TorchaoConfig,
    install=install,
    space=quantization_space,
    protects={"full_first": "first", "full_last": "last"},
    parts=parts,
    schedulable=frozenset({"steps", "layers"}),
    source="github.com/pytorch/ao 0.18",
)
