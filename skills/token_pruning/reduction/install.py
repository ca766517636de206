"""Putting a reducer in front of the active blocks of each denoiser."""

from __future__ import annotations

from collections.abc import Callable

from sol.attach import find_place, replace_child, undo_all, undo_on_error, wrap_forward
from sol.clock import Clock
from sol.errors import ConfigError, NoEffectError
from sol.roles import DenoiserRoles, Roles
from sol.schedule import Schedule, format_range
from sol.skills.token_pruning.reduction.reduced_run import ReducedRun, TokenSlot
from sol.skills.token_pruning.reduction.reducer import Reducer
from sol.technique import Evidence, Installed

MakeReducer = Callable[[DenoiserRoles, range, list[Callable[[], None]]], Reducer]
"""(denoiser, its active blocks, where to add what undoes it) -> the denoiser's reducer."""


def install_reduction(
    roles: Roles, name: str, schedule: Schedule, clock: Clock, make_reducer: MakeReducer
) -> Installed:
    """Puts one reducer in front of the active blocks of each denoiser.

    Args:
        name: Of the technique.
        make_reducer: Called once a denoiser: experts do not share state.

    Raises:
        ConfigError: The active blocks are not one run.
        NoEffectError: No block is active.
    """
    active = [_active_blocks(denoiser, schedule, name) for denoiser in roles.denoisers]
    if not any(active):
        raise NoEffectError(f"{name} found no active block: schedule.layers is 'none'.")
    undos: list[Callable[[], None]] = []
    runs: list[ReducedRun] = []
    with undo_on_error(undos):
        for denoiser, blocks in zip(roles.denoisers, active, strict=True):
            if blocks:
                runs.append(_attach(denoiser, blocks, name, clock, make_reducer, undos))
    return Installed(lambda: undo_all(undos), lambda: _evidence_of(runs))


def _attach(
    denoiser: DenoiserRoles,
    active: range,
    name: str,
    clock: Clock,
    make_reducer: MakeReducer,
    undos: list[Callable[[], None]],
) -> ReducedRun:
    reducer = make_reducer(denoiser, active, undos)
    run = ReducedRun(denoiser, active, clock, reducer)
    undos += [reducer.forget, clock.on_video(reducer.forget)]
    for index in active:
        parent, child = find_place(denoiser.module, denoiser.blocks[index])
        slot = TokenSlot(denoiser.blocks[index], index, run)
        undos.append(replace_child(parent, child, slot))
    undos.append(wrap_forward(denoiser.module, f"sol.{name}", run.around))
    return run


def _active_blocks(denoiser: DenoiserRoles, schedule: Schedule, name: str) -> range:
    """The active blocks; between two of them tokens cannot come and go."""
    layers = schedule.active_layers(len(denoiser.blocks))
    if not layers:
        return range(0)
    run = range(min(layers), max(layers) + 1)
    if len(run) != len(layers):
        raise ConfigError(
            f"{name} needs its blocks in one run, but schedule.layers is "
            f"{schedule.layers!r}: write {format_range(frozenset(run))!r}."
        )
    return run


def _evidence_of(runs: list[ReducedRun]) -> Evidence:
    counts = [run.counts for run in runs]
    left_out = sum(c.left_out for c in counts)
    return Evidence(
        left_out > 0,
        {
            "tokens_computed": sum(c.computed for c in counts),
            "tokens_left_out": left_out,
            "calls_reduced": sum(c.reduced for c in counts),
            "calls_full": sum(c.full for c in counts),
            "bytes_held": sum(c.bytes_peak for c in counts),
            "not_kept": sum(run.reducer.n_refused for run in runs),
        },
    )
