"""Exact reuse of what is computed from the timestep alone.

A schedule of n steps has n timesteps, and they are the same in every video and in every guidance
branch, so the modulation is a table of n rows. Each row is filled when its step comes first, and
returned whenever the module is called at that step with equal arguments.

The table deliberately outlives the video. That is no state that crosses videos in the sense of
the contract: a row is returned only for the very argument values that it was computed from, by
the weights that computed it, so no output can tell whether there was a video before. The first
video of batched guidance only fills the table; two-call guidance reuses from its first step on.

Comparing values waits for the device: on a GPU one short wait for each module and call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from sol.attach import undo_all, wrap_forward
from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError
from sol.forward_arguments import SeenTensor, is_match, map_tensors, tensors_in
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.cache.exact.kept_output import KeptOutput
from sol.skills.cache.memory import MEGABYTE, bytes_of
from sol.space import Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True)
class ModulationConfig:
    """Settings.

    Attributes:
        max_mb: Memory for all tables together; what does not fit is computed each time. Some
            kilobytes a step will do, but where each token has a timestep of its own a row is as
            large as the video.
    """

    __pydantic_config__ = STRICT

    max_mb: Annotated[int, Field(ge=1)] = 512


_Key = tuple[int, tuple[tuple[int, ...], ...]]


@dataclass(frozen=True)
class _Row:
    """The arguments of one call, by value, and what the module made of them."""

    arguments: Any
    output: KeptOutput

    @property
    def n_bytes(self) -> int:
        return self.output.n_bytes + bytes_of(tensors_in(self.arguments))

    def is_of(self, arguments: Any) -> bool:
        return is_match(_is_equal, self.arguments, arguments) and self.output.is_intact


@dataclass
class _Ledger:
    """What all tables of one installation count and hold together."""

    limit: int
    computed: int = 0
    reused: int = 0
    held: int = 0


@dataclass
class _Table:
    """The rows of one module, of one schedule at a time.

    Attributes:
        rows: By step and by the shapes that the call was given: those of a step's calls differ
            where some have both guidance branches in their batch.
    """

    module: nn.Module
    clock: Clock
    ledger: _Ledger
    rows: dict[_Key, _Row] = field(default_factory=dict)
    n_steps: int = 0
    weights: tuple[SeenTensor, ...] = ()

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        shapes = tuple(tuple(tensor.shape) for tensor in tensors_in((args, kwargs)))
        key = (self.clock.step, shapes)
        row = self.rows.get(key)
        if row is not None and row.is_of((args, kwargs)):
            self.ledger.reused += 1
            return row.output.value
        if row is not None:
            # Another schedule, whose other steps will differ as well.
            self.forget()
        output = forward(*args, **kwargs)
        self.ledger.computed += 1
        self._keep(key, _Row(map_tensors(_copy, (args, kwargs)), KeptOutput.of(output)))
        return output

    def begin_video(self) -> None:
        """Forgets what another schedule, or other weights, have computed."""
        parameters = tuple(self.module.parameters())
        same_weights = len(parameters) == len(self.weights) and all(
            seen.is_still(p) for seen, p in zip(self.weights, parameters, strict=True)
        )
        if not same_weights or self.n_steps != self.clock.n_steps:
            self.forget()
        self.n_steps = self.clock.n_steps
        self.weights = tuple(SeenTensor.of(p) for p in parameters)

    def forget(self) -> None:
        self.ledger.held -= sum(row.n_bytes for row in self.rows.values())
        self.rows.clear()

    def _keep(self, key: _Key, row: _Row) -> None:
        if self.ledger.held + row.n_bytes > self.ledger.limit:
            return
        self.rows[key] = row
        self.ledger.held += row.n_bytes


def install(roles: Roles, config: ModulationConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts a table in front of each module that depends on the timestep alone.

    Raises:
        NoEffectError: No denoiser has one.
    """
    modules = [module for denoiser in roles.denoisers for module in denoiser.modulation]
    if not modules:
        raise NoEffectError("modulation found no module that depends on the timestep alone.")
    undos: list[Callable[[], None]] = []
    ledger = _Ledger(config.max_mb * MEGABYTE)
    for module in modules:
        _attach(_Table(module, clock, ledger), undos)

    def evidence() -> Evidence:
        # The first video may have nothing to reuse yet; a second one has.
        is_filling = clock.video <= 1 and ledger.held > 0
        counts = {
            "rows_computed": ledger.computed,
            "rows_reused": ledger.reused,
            "bytes_held": ledger.held,
        }
        return Evidence(ledger.reused > 0 or is_filling, counts)

    return Installed(lambda: undo_all(undos), evidence)


def _attach(table: _Table, undos: list[Callable[[], None]]) -> None:
    undos.append(table.forget)
    undos.append(table.clock.on_video(table.begin_video))
    undos.append(wrap_forward(table.module, "sol.modulation", table.around))


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().clone()


def _is_equal(kept: Any, given: torch.Tensor) -> bool:
    return (
        isinstance(kept, torch.Tensor)
        and (kept.shape, kept.dtype, kept.device) == (given.shape, given.dtype, given.device)
        and torch.equal(kept, given)
    )


def space(context: SpaceContext) -> Space:
    """One setting: on."""
    return Space(first=({},))


def saves(diagnosis: Diagnosis) -> float:
    """All that is spent on the timestep."""
    return diagnosis.part_s.get("modulation", 0.0)


MODULATION = Technique(
    name="modulation",
    skill="cache",
    summary="compute what depends on the timestep once a schedule (exact)",
    exactness="exact",
    requires=frozenset({Capability.MODULATION}),
    writes=frozenset({Seam.MODULATION}),
    phase=Phase.MODULES,
    config=ModulationConfig,
    install=install,
    space=space,
    saves=saves,
)
