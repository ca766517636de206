"""A fixed list of steps whose denoiser calls are skipped.

The simplest step cache, and one that a reviewer can read: Sol's published LTX and Cosmos lines
are masks of this kind (arXiv 2606.23743), and so are cache-dit's step computation masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from sol.clock import Clock
from sol.errors import ConfigError
from sol.roles import Capability, Roles
from sol.schedule import Schedule, format_range, parse_range
from sol.skills.cache.skipping.reuse import ReuseKind
from sol.skills.cache.skipping.skip_settings import ReuseSettings
from sol.skills.cache.steps.step_skip import install_step_skip
from sol.space import Choice, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True, kw_only=True)
class StepMaskConfig(ReuseSettings):
    """Settings.

    Attributes:
        skip: The steps to skip, as a range ("13,14,16-22"); step 0 cannot be skipped, since
            there is nothing to reuse yet.
    """

    __pydantic_config__ = STRICT

    skip: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        Schedule(steps=self.skip)


@dataclass
class MaskPolicy:
    """Skips the listed steps of one denoiser."""

    skip: str
    schedule: Schedule
    clock: Clock

    def should_skip(self, branch: str, signal: torch.Tensor) -> bool:
        n_steps = self.clock.n_steps
        skipped = parse_range(self.skip, n_steps)
        if 0 in skipped:
            raise ConfigError(
                f"Step 0 cannot be skipped (skip: {self.skip!r}): nothing has been computed "
                "before it. Start the range at 1 or later."
            )
        return self.clock.step in skipped & self.schedule.active_steps(n_steps)

    def observe(self, branch: str, x: torch.Tensor, y: torch.Tensor) -> None:
        pass

    def forget(self) -> None:
        pass

    def held(self) -> Iterable[torch.Tensor]:
        return ()


def install(roles: Roles, config: StepMaskConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts the mask in front of every denoiser."""
    return install_step_skip(
        roles,
        clock,
        "sol.step_mask",
        config,
        lambda: MaskPolicy(config.skip, schedule, clock),
    )


def space(context: SpaceContext) -> Space:
    """Masks that compute every 2nd, 3rd or 4th step of a window, in several windows."""
    n_steps = context.workload.steps
    masks = [
        periodic_mask(n_steps, start, end, period)
        for start in sorted({max(2, n_steps // 8), n_steps // 4, n_steps // 3})
        for end in sorted({n_steps - 1, n_steps - max(1, n_steps // 8)})
        for period in (2, 3, 4)
    ]
    options = tuple(dict.fromkeys(mask for mask in masks if mask != "none"))
    if not options:
        return Space()
    gentle = periodic_mask(n_steps, n_steps // 3, n_steps - 1, 2)
    skip = gentle if gentle in options else options[0]
    kinds: tuple[ReuseKind, ...] = ("residual", "taylor1")
    return Space(
        knobs={"skip": Choice(options), "reuse": Choice(kinds)},
        first=tuple({"skip": skip, "reuse": kind} for kind in kinds),
    )


def periodic_mask(n_steps: int, start: int, end: int, period: int) -> str:
    """Skips, from step `start` to before `end`, all but every `period`-th step."""
    window = range(max(1, start), min(end, n_steps))
    return format_range(frozenset(s for s in window if (s - start) % period != 0))


STEP_MASK = Technique(
    name="step_mask",
    skill="cache",
    summary="skip the denoiser call at the listed steps",
    exactness="lossy",
    requires=frozenset({Capability.STEP_OUTPUT}),
    writes=frozenset({Seam.STEP_OUTPUT}),
    phase=Phase.LOOP,
    config=StepMaskConfig,
    install=install,
    space=space,
    identity={"skip": "none"},
    schedulable=frozenset({"steps"}),
    source="arXiv 2606.23743",
)
