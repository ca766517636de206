"""torch.autocast around the denoiser of a float32 pipeline: linear layers and attention in half.

PyTorch decides operation by operation: matrix products take the lower precision, norms and sums
keep float32. What the denoiser returns goes back to float32, in which the scheduler computes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from sol.attach import undo_all, undo_on_error, wrap_forward
from sol.clock import Clock, is_between_edges
from sol.errors import NotApplicableError
from sol.forward_arguments import map_tensors
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.space import Choice, Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique

Half = Literal["bfloat16", "float16"]

_NEEDS: dict[Half, Capability] = {
    "bfloat16": Capability.BFLOAT16,
    # On CPUs float16 is emulated.
    "float16": Capability.CUDA,
}


@dataclass(frozen=True)
class AutocastConfig:
    """Settings.

    Attributes:
        full_first: First steps that stay in float32.
        full_last: Last steps that stay in float32.
    """

    __pydantic_config__ = STRICT

    dtype: Half = "bfloat16"
    full_first: Annotated[int, Field(ge=0)] = 0
    full_last: Annotated[int, Field(ge=0)] = 0


@dataclass
class _Caster:
    """Casts the calls of the denoisers that are to be cast, and counts both kinds."""

    config: AutocastConfig
    schedule: Schedule
    clock: Clock
    device: str
    cast_calls: int = 0
    full_calls: int = 0

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if not self._is_active():
            self.full_calls += 1
            return forward(*args, **kwargs)
        self.cast_calls += 1
        dtype = getattr(torch, self.config.dtype)
        with torch.autocast(self.device, dtype), warnings.catch_warnings():
            # A norm's input in half, its weight in float32: slower than fused, and right.
            warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
            output = forward(*args, **kwargs)
        return map_tensors(lambda t: t.float() if t.dtype == dtype else t, output)

    def _is_active(self) -> bool:
        config = self.config
        return is_between_edges(self.clock, self.schedule, config.full_first, config.full_last)


def install(roles: Roles, config: AutocastConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Wraps every denoiser.

    Raises:
        NotApplicableError: The device does not compute in the config's dtype.
    """
    needed = _NEEDS[config.dtype]
    if needed not in roles.capabilities:
        reason = roles.lacks.get(needed, f"it needs {needed}, which is not there")
        raise NotApplicableError(f"autocast to {config.dtype} does not apply here: {reason}")
    device = "cuda" if Capability.CUDA in roles.capabilities else "cpu"
    caster = _Caster(config, schedule, clock, device)
    undos: list[Callable[[], None]] = []
    with undo_on_error(undos):
        for denoiser in roles.denoisers:
            undos.append(wrap_forward(denoiser.module, "sol.autocast", caster.around))

    def evidence() -> Evidence:
        counts = {"cast_calls": caster.cast_calls, "full_calls": caster.full_calls}
        return Evidence(caster.cast_calls > 0, counts)

    return Installed(lambda: undo_all(undos), evidence)


def space(context: SpaceContext) -> Space:
    """The precisions that the device has."""
    there = context.roles.capabilities
    options = tuple(name for name, needed in _NEEDS.items() if needed in there)
    return Space(
        knobs={"dtype": Choice(options)}, first=tuple({"dtype": name} for name in options)
    )


AUTOCAST = Technique(
    name="autocast",
    skill="quantization",
    summary="linear layers and attention of a float32 model in half precision (torch.autocast)",
    exactness="lossy",
    requires=frozenset({Capability.AUTOCAST}),
    writes=frozenset({Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}),
    phase=Phase.WEIGHTS,
    config=AutocastConfig,
    install=install,
    space=space,
    protects={"full_first": "first", "full_last": "last"},
    schedulable=frozenset({"steps"}),
)
