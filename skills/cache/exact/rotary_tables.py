"""Exact reuse of the rotary tables within a video.

Positions do not change from step to step: the tables depend on the latents only through their
shape, dtype and device, and on whatever else the module is given.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sol.attach import undo_all, wrap_forward
from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError
from sol.forward_arguments import SeenTensor, is_match, map_tensors
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.cache.exact.kept_output import KeptOutput
from sol.space import Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique

# One for each shape of batch in turn (both guidance branches, one alone), and some to spare.
_MAX_TABLES = 4
_HIDDEN = "hidden_states"


@dataclass(frozen=True)
class RotaryTablesConfig:
    """No settings: it is exact."""

    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class _Table:
    arguments: dict[str, Any]
    output: KeptOutput

    def is_of(self, arguments: dict[str, Any]) -> bool:
        return is_match(_is_same_tensor, self.arguments, arguments) and self.output.is_intact


@dataclass
class _Tables:
    """The tables of the current video, for one module.

    Of hidden states only the form counts; other tensors, coordinates, must be the very same ones.
    """

    names: tuple[str, ...]
    kept: deque[_Table] = field(default_factory=lambda: deque(maxlen=_MAX_TABLES))
    computed: int = 0
    reused: int = 0
    bytes_peak: int = 0

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        arguments = {**dict(zip(self.names, args, strict=False)), **kwargs}
        if _HIDDEN in arguments:
            arguments[_HIDDEN] = _form(arguments[_HIDDEN])
        known = next((table for table in self.kept if table.is_of(arguments)), None)
        if known is not None:
            self.reused += 1
            return known.output.value
        output = forward(*args, **kwargs)
        self.computed += 1
        self.kept.append(_Table(map_tensors(SeenTensor.of, arguments), KeptOutput.of(output)))
        held = sum(table.output.n_bytes for table in self.kept)
        self.bytes_peak = max(self.bytes_peak, held)
        return output


def install(
    roles: Roles, config: RotaryTablesConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Wraps the module that makes the tables, in each denoiser that has one.

    Raises:
        NoEffectError: No denoiser has one.
    """
    modules = [denoiser.rotary for denoiser in roles.denoisers if denoiser.rotary is not None]
    if not modules:
        raise NoEffectError("rotary_tables found no module that makes them: nothing to reuse.")
    undos: list[Callable[[], None]] = []
    tables = [_attach(module, clock, undos) for module in modules]

    def evidence() -> Evidence:
        reused = sum(t.reused for t in tables)
        counts = {
            "tables_computed": sum(t.computed for t in tables),
            "tables_reused": reused,
            "bytes_held": sum(t.bytes_peak for t in tables),
        }
        return Evidence(reused > 0, counts)

    return Installed(lambda: undo_all(undos), evidence)


def _attach(module: nn.Module, clock: Clock, undos: list[Callable[[], None]]) -> _Tables:
    tables = _Tables(tuple(inspect.signature(module.forward).parameters))
    undos.append(tables.kept.clear)
    undos.append(clock.on_video(tables.kept.clear))
    undos.append(wrap_forward(module, "sol.rotary_tables", tables.around))
    return tables


def _form(hidden: torch.Tensor) -> tuple[Any, ...]:
    return (tuple(hidden.shape), hidden.dtype, hidden.device)


def _is_same_tensor(kept: Any, given: torch.Tensor) -> bool:
    return isinstance(kept, SeenTensor) and kept.is_still(given)


def space(context: SpaceContext) -> Space:
    """One setting: on."""
    return Space(first=({},))


def saves(diagnosis: Diagnosis) -> float:
    """All that is spent on making the tables."""
    return diagnosis.part_s.get("rotary_table", 0.0)


ROTARY_TABLES = Technique(
    name="rotary_tables",
    skill="cache",
    summary="make the rotary tables once a video (exact)",
    exactness="exact",
    requires=frozenset({Capability.ROTARY_TABLE}),
    writes=frozenset({Seam.ROTARY_TABLE}),
    phase=Phase.MODULES,
    config=RotaryTablesConfig,
    install=install,
    space=space,
    saves=saves,
)
