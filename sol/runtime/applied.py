"""Installing a stack on a pipeline, and taking it off again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from sol.attach import Around, undo_all, undo_on_error
from sol.clock import Clock
from sol.errors import ConflictError, NoEffectError
from sol.models.families import describe_roles
from sol.roles import Roles
from sol.runtime.calls import Turn, wrap_calls
from sol.runtime.guard import Guard
from sol.runtime.ticker import start_ticking
from sol.scheduler_step import wrap_scheduler
from sol.skills.registry import get_technique
from sol.technique import (
    Evidence,
    Installed,
    Stack,
    Technique,
    check_applies,
    check_schedule,
    parse_config,
)

_MARK = "_sol_applied"


@dataclass
class Applied:
    """A stack at work on a pipeline. As a context manager, it undoes itself at the end.

    Attributes:
        around: What runs instead of the pipeline's own call, if anything does.
        guard: What makes a video without the stack where that fails.
        install_s: Seconds that installing took: weights are quantised and packed then. The first
            video takes longer too, where it compiles.
        overrides: By check, what differs from the recipe's target and was allowed to.
        unchecked: By check, why it could not be made.
    """

    stack: Stack
    clock: Clock
    installed: Mapping[str, Installed]
    turn: Turn = field(default_factory=Turn, repr=False)
    around: Around | None = field(default=None, repr=False)
    guard: Guard | None = field(default=None, repr=False)
    install_s: float | None = None
    overrides: dict[str, str] = field(default_factory=dict)
    unchecked: dict[str, str] = field(default_factory=dict)
    _undos: list[Callable[[], None]] = field(default_factory=list, repr=False)

    @property
    def fallbacks(self) -> Mapping[str, int]:
        """By reason, how many videos the guard had made without the stack."""
        return Counter() if self.guard is None else self.guard.fallbacks

    def undo(self) -> None:
        """Restores the pipeline exactly; a second call does nothing.

        Raises:
            ConflictError: A video is being made; the stack stays.
        """
        if not self._undos:
            return
        with self.turn.take("undo()"):
            undo_all(self._undos)
            self.around = None

    def evidence(self) -> Mapping[str, Evidence]:
        """What each technique has counted so far, by technique."""
        return {name: item.evidence() for name, item in self.installed.items()}

    def record(self) -> dict[str, Any]:
        """The evidence, and under which conditions it arose, as plain data."""
        return {
            "evidence": {name: dict(e.counts) for name, e in self.evidence().items()},
            "overrides": dict(self.overrides),
            "unchecked": dict(self.unchecked),
            "fallbacks": dict(self.fallbacks),
            "install_s": self.install_s,
        }

    def require_engaged(self) -> None:
        """Checks that each technique did something while the videos were made.

        Raises:
            NoEffectError: One did not; what it counted is in the message.
        """
        for name, evidence in self.evidence().items():
            if not evidence.engaged:
                raise NoEffectError(
                    f"{name} never engaged in {self.clock.video} video(s): "
                    f"{dict(evidence.counts)}. Use a bolder config, or leave it out of the stack."
                )

    def __enter__(self) -> Applied:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            # A guard has seen to each video that got nothing from a technique.
            if exc_type is None and self.clock.video > 0 and self.guard is None:
                self.require_engaged()
        finally:
            self.undo()


def install_stack(pipeline: Any, stack: Stack, clock: Clock | None = None) -> Applied:
    """Installs the techniques in the order of their phases.

    Everything is checked before anything is touched, and a failure half-way is undone.

    Args:
        clock: A new one that the caller already listens to: a listener of the caller's own comes
            before those of the techniques.

    Raises:
        UnknownNameError: A technique that Sol does not know.
        ConfigError: A config or schedule that the technique does not allow.
        NotApplicableError: A technique that this pipeline or machine cannot run.
        ConflictError: A stack is already applied, or a technique is named twice.
        NoEffectError: A technique found nothing to work on.
    """
    check_free(pipeline)
    roles = describe_roles(pipeline)
    plan = _plan(roles, stack)
    clock = Clock() if clock is None else clock
    undos: list[Callable[[], None]] = []
    installed: dict[str, Installed] = {}
    applied = Applied(stack, clock, installed, _undos=undos)
    with undo_on_error(undos):
        undos.append(_mark(pipeline))
        undos.append(_take_turns(pipeline, applied))
        undos.append(start_ticking(pipeline, roles, clock))
        undos.append(_keep_others_out(pipeline.scheduler, applied.turn))
        for technique, config, item in plan:
            # Described anew each time: the technique before may have replaced modules.
            roles = describe_roles(pipeline)
            installed[technique.name] = technique.install(roles, config, item.schedule, clock)
            undos.append(installed[technique.name].undo)
    return applied


def check_free(pipeline: Any) -> None:
    """Raises ConflictError where a stack is applied to this pipeline."""
    if getattr(pipeline, _MARK, False):
        raise ConflictError("A stack is already applied to this pipeline: undo() it first.")


def in_order(stack: Stack) -> Stack:
    """The stack sorted by phase, then by name: the order in which it is installed."""
    return tuple(sorted(stack, key=lambda i: (get_technique(i.technique).phase, i.technique)))


def _plan(roles: Roles, stack: Iterable[Any]) -> list[tuple[Technique, Any, Any]]:
    plan = []
    seen: set[str] = set()
    for item in in_order(tuple(stack)):
        technique = get_technique(item.technique)
        if technique.name in seen:
            raise ConflictError(f"{technique.name} is in the stack twice: keep one.")
        seen.add(technique.name)
        check_schedule(technique, item.schedule)
        check_applies(technique, roles)
        plan.append((technique, parse_config(technique, item.config), item))
    return plan


def _mark(pipeline: Any) -> Callable[[], None]:
    object.__setattr__(pipeline, _MARK, True)
    return lambda: object.__delattr__(pipeline, _MARK)


def _take_turns(pipeline: Any, applied: Applied) -> Callable[[], None]:
    """Lets one thread at a time into the pipeline."""

    def call(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with applied.turn.take("A video"):
            if applied.around is None:
                return original(*args, **kwargs)
            return applied.around(original, args, kwargs)

    return wrap_calls(pipeline, call)


def _keep_others_out(scheduler: Any, turn: Turn) -> Callable[[], None]:
    """Another pipeline may share the scheduler, and would begin a video in the midst of ours."""

    def set_timesteps(
        original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        turn.refuse_others("A video by a pipeline that shares this one's scheduler")
        return original(*args, **kwargs)

    return wrap_scheduler(scheduler, "set_timesteps", set_timesteps)
