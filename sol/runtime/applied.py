"""Installing a stack on a pipeline, and taking it off again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from sol.attach import undo_all, undo_on_error
from sol.clock import Clock
from sol.errors import ConflictError, NoEffectError
from sol.models.families import describe_roles
from sol.roles import Roles
from sol.runtime.ticker import start_ticking
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
    """A stack at work on a pipeline. As a context manager, it undoes itself at the end."""

    stack: Stack
    clock: Clock
    installed: Mapping[str, Installed]
    _undos: list[Callable[[], None]] = field(repr=False)

    def undo(self) -> None:
        """Restores the pipeline exactly; a second call does nothing."""
        undo_all(self._undos)

    def evidence(self) -> Mapping[str, Evidence]:
        """What each technique has counted so far, by technique."""
        return {name: item.evidence() for name, item in self.installed.items()}

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
            if exc_type is None and self.clock.video > 0:
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
    if getattr(pipeline, _MARK, False):
        raise ConflictError("A stack is already applied to this pipeline: undo() it first.")
    roles = describe_roles(pipeline)
    plan = _plan(roles, stack)
    clock = Clock() if clock is None else clock
    undos: list[Callable[[], None]] = []
    installed: dict[str, Installed] = {}
    with undo_on_error(undos):
        undos.append(_mark(pipeline))
        undos.append(start_ticking(pipeline, tuple(d.module for d in roles.denoisers), clock))
        for technique, config, item in plan:
            # Described anew each time: the technique before may have replaced modules.
            roles = describe_roles(pipeline)
            installed[technique.name] = technique.install(roles, config, item.schedule, clock)
            undos.append(installed[technique.name].undo)
    return Applied(stack, clock, installed, undos)


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
