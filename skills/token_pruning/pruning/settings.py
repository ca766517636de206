"""The settings that all techniques have which leave tokens out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from sol.clock import Clock
from sol.schedule import Schedule
from sol.skills.cache.skipping.reuse import Megabytes
from sol.target import STRICT

Compensation = Literal["zero", "previous", "linear"]
"""What the blocks are taken to add to a token that is left out: nothing; what they added when it
was last computed; that, extrapolated in first order over the position on the trajectory."""

Context = Literal["kept", "remembered", "extrapolated"]
"""What a kept token attends to: the kept tokens; all tokens, with the keys and values of the
others as they were when those were last computed; the same, extrapolated in first order."""

_N_RESIDUALS: dict[Compensation, int] = {"zero": 0, "previous": 1, "linear": 2}
_N_KEYS_VALUES: dict[Context, int] = {"kept": 0, "remembered": 1, "extrapolated": 2}


@dataclass(frozen=True, kw_only=True)
class PruningSettings:
    """Which steps leave tokens out, and what becomes of these.

    Attributes:
        warmup: First steps that compute all tokens.
        tail: Last steps that do.
        refresh: In between, one step in so many does.
        compensation: What the blocks are taken to add to a token that is left out.
        context: What the other tokens attend to.
        max_mb: Megabytes that may be kept between calls. A branch of guidance that needs more is
            computed in full.
    """

    __pydantic_config__ = STRICT

    warmup: Annotated[int, Field(ge=1)] = 4
    tail: Annotated[int, Field(ge=0)] = 1
    refresh: Annotated[int, Field(ge=2)] = 2
    compensation: Compensation = "linear"
    context: Context = "extrapolated"
    max_mb: Megabytes = 16384.0

    def reduced_steps(self, clock: Clock, schedule: Schedule) -> frozenset[int]:
        """The steps of this video that may leave tokens out."""
        middle = range(self.warmup, clock.n_steps - self.tail)
        reduced = {step for step in middle if (step - self.warmup + 1) % self.refresh}
        return schedule.active_steps(clock.n_steps) & reduced if reduced else frozenset()

    def n_kept_tensors(self, n_sites: int) -> int:
        """How many tensors of the size of the hidden states are kept for a branch of guidance.

        Args:
            n_sites: Self-attentions that are reduced, each with a key and a value.
        """
        return _N_RESIDUALS[self.compensation] + 2 * n_sites * _N_KEYS_VALUES[self.context]
