"""The settings that every cache of whole calls or runs of blocks has, and what they allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from sol.clock import Clock
from sol.errors import ConfigError
from sol.schedule import Schedule
from sol.skills.cache.skipping.reuse import Megabytes, ReuseKind, RidgeTable
from sol.target import STRICT


@dataclass(frozen=True, kw_only=True)
class ReuseSettings:
    """What a skipped call returns.

    Attributes:
        reuse: See `sol.skills.cache.skipping.reuse`: the last output, the last residual, residuals
            extrapolated in first or second order, or by fitted weights.
        ridge: The fitted second-order weights, one for each equal stage of the video; needed by
            "ridge" alone.
        max_mb: Megabytes that the cache may hold; beyond them it computes.
    """

    __pydantic_config__ = STRICT

    reuse: ReuseKind = "residual"
    ridge: RidgeTable = ()
    max_mb: Megabytes = 4096.0

    def __post_init__(self) -> None:
        if self.reuse == "ridge" and not self.ridge:
            raise ConfigError("reuse 'ridge' needs its fitted weights in `ridge`, which is empty.")


@dataclass(frozen=True, kw_only=True)
class SkipSettings(ReuseSettings):
    """Which steps an adaptive cache must compute.

    Attributes:
        warmup: First steps that are always computed.
        tail: Last steps that are always computed.
        max_skips: Longest run of skipped steps.
    """

    warmup: Annotated[int, Field(ge=1)] = 3
    tail: Annotated[int, Field(ge=0)] = 1
    max_skips: Annotated[int, Field(ge=1)] = 4


@dataclass
class StepDecisions:
    """Decides within the settings, by default once a step, on the step's first branch.

    Guidance branches that disagree would have their difference amplified by guidance.

    Attributes:
        per_branch: Decide for every branch by itself.
    """

    settings: SkipSettings
    schedule: Schedule
    clock: Clock
    per_branch: bool = False
    _step: dict[str, int] = field(default_factory=dict)
    _skips: dict[str, bool] = field(default_factory=dict)
    _run: dict[str, int] = field(default_factory=dict)

    def decide(self, branch: str, wants_to_skip: Callable[[], bool]) -> bool:
        """Whether this call may be skipped; asks `wants_to_skip` where the settings allow it."""
        decided = self.find(branch)
        if decided is not None:
            return decided
        key = self._key(branch)
        skips = self._is_allowed(key) and wants_to_skip()
        self._step[key] = self.clock.step
        self._skips[key] = skips
        self._run[key] = self._run.get(key, 0) + 1 if skips else 0
        return skips

    def find(self, branch: str) -> bool | None:
        """What this step has decided for the branch already, or None if this call decides."""
        key = self._key(branch)
        return self._skips[key] if self._step.get(key) == self.clock.step else None

    def forget(self) -> None:
        """A new video begins."""
        self._step.clear()
        self._skips.clear()
        self._run.clear()

    def _key(self, branch: str) -> str:
        return branch if self.per_branch else ""

    def _is_allowed(self, key: str) -> bool:
        step, n_steps = self.clock.step, self.clock.n_steps
        return (
            self.settings.warmup <= step < n_steps - self.settings.tail
            and self._run.get(key, 0) < self.settings.max_skips
            and step in self.schedule.active_steps(n_steps)
        )
