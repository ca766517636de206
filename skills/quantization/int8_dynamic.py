"""Int8 linear layers on a CPU: weights per output channel, activations quantised on the fly.

PyTorch's quantized::linear_dynamic (oneDNN or FBGEMM underneath): weights symmetric int8 with one
scale for each output channel, activations asymmetric uint8 with one scale for each call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from sol.attach import find_places, replace_child, undo_all, wrap_forward
from sol.clock import Clock
from sol.errors import NoEffectError
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.space import Choice, Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique

Placement = Literal["feed_forward", "attention", "all"]

# The scale maps the largest weight to the end of the signed 8-bit range.
_INT8_MAX = 127.0


@dataclass(frozen=True)
class Int8DynamicConfig:
    """Settings.

    Attributes:
        layers: Which linear layers of the blocks: those of the feed-forward, those around the
            attentions (query, key, value, output), or all of both.
    """

    __pydantic_config__ = STRICT

    layers: Placement = "feed_forward"


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
    """Replaces the chosen linear layers; the originals are kept and come back on undo.

    Raises:
        NoEffectError: The config and schedule name no linear layer.
    """
    undos: list[Callable[[], None]] = []
    counts = {"layers_quantized": 0, "denoiser_calls": 0}
    for denoiser in roles.denoisers:
        chosen = _chosen_layers(denoiser, config.layers, schedule)
        undos += [
            replace_child(parent, name, Int8DynamicLinear(child))
            for parent, name, child in find_places(denoiser.module, chosen)
            if isinstance(child, nn.Linear)
        ]
        counts["layers_quantized"] = len(undos)
    if not undos:
        raise NoEffectError(
            f"int8_dynamic found no linear layer for layers={config.layers!r} in "
            f"blocks {schedule.layers!r}: nothing was quantised."
        )
    # Counted around the denoiser: a counter inside a compiled block would recompile it.
    undos += [_count_calls(denoiser, counts) for denoiser in roles.denoisers]

    def evidence() -> Evidence:
        return Evidence(counts["denoiser_calls"] > 0, dict(counts))

    return Installed(lambda: undo_all(undos), evidence)


def _count_calls(denoiser: DenoiserRoles, counts: dict[str, int]) -> Callable[[], None]:
    def around(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        counts["denoiser_calls"] += 1
        return forward(*args, **kwargs)

    return wrap_forward(denoiser.module, "sol.int8_dynamic", around)


def _chosen_layers(
    denoiser: DenoiserRoles, placement: Placement, schedule: Schedule
) -> list[nn.Module]:
    groups = {
        "feed_forward": (denoiser.feed_forward,),
        "attention": (
            denoiser.self_projections,
            denoiser.self_output,
            denoiser.cross_projections,
        ),
        "all": (
            denoiser.feed_forward,
            denoiser.self_projections,
            denoiser.self_output,
            denoiser.cross_projections,
        ),
    }[placement]
    active = schedule.active_layers(len(denoiser.blocks))
    return [layer for group in groups for block in active for layer in group[block]]


def space(context: SpaceContext) -> Space:
    """Where to quantise."""
    return Space(
        knobs={"layers": Choice(("feed_forward", "attention", "all"))},
        first=({"layers": "feed_forward"}, {"layers": "all"}, {"layers": "attention"}),
    )


INT8_DYNAMIC = Technique(
    name="int8_dynamic",
    skill="quantization",
    summary="int8 linear layers, activations quantised on the fly (CPU)",
    exactness="lossy",
    requires=frozenset({Capability.LINEAR_FEED_FORWARD, Capability.INT8_DYNAMIC_CPU}),
    writes=frozenset({Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}),
    phase=Phase.WEIGHTS,
    config=Int8DynamicConfig,
    install=install,
    space=space,
    schedulable=frozenset({"layers"}),
)
