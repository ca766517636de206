"""Which grid a step runs on, in tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sol.skills.token_pruning.dvg.resampling import Sizes
from sol.skills.token_pruning.dvg.settings import Stage


def sizes_of(stage: Stage | None, full: Sizes) -> Sizes:
    """The grid of a stage; the full one where there is none."""
    if stage is None:
        return full
    shares = (stage.time, stage.space, stage.space)
    frames, height, width = (
        max(1, round(size * share)) for size, share in zip(full, shares, strict=True)
    )
    return frames, height, width


def find_stage(stages: Iterable[Stage], step: int) -> Stage | None:
    """The stage of a step, or None if it is after all of them."""
    return next((stage for stage in stages if step < stage.until_step), None)


def density(stages: Sequence[Stage], full: Sizes, n_steps: int) -> float:
    """Tokens of all steps, as a share of what full grids would have."""
    tokens = (math.prod(sizes_of(find_stage(stages, step), full)) for step in range(n_steps))
    return sum(tokens) / (math.prod(full) * n_steps)
