"""The per-video choice of DVG (arXiv 2605.21042): a budget of tokens goes to space or to time.

After the first stage at space s1 and t1 frames, the second has space s2 and t frames, the third
full space and t frames. Among the candidates within the budget, with g_s and g_t their s2^2 and
frames scaled to [0, 1] over the candidates, the one is taken with the highest score

    -(g_s - d_s)^2 / 2 - (g_t - d_t)^2 / 2

where d_s and d_t are the video's demands for space and time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sol.skills.token_pruning.dvg.resampling import Sizes
from sol.skills.token_pruning.dvg.settings import ContentChoice, Stage
from sol.skills.token_pruning.dvg.stages import density, sizes_of

_TOLERANCE = 0.02
_SPACE_STEP = 0.1

Stages = tuple[Stage, ...]


def choose_stages(
    first: Stage, choice: ContentChoice, demands: tuple[float, float], full: Sizes, n_steps: int
) -> Stages:
    """The first stage and the two chosen ones.

    Args:
        demands: Of space and of time; together 1.
        full: The full grid, in tokens.
    """
    options = candidates(first, choice, full, n_steps)
    gains = zip(
        _scaled([stages[1].space ** 2 for stages in options]),
        _scaled([sizes_of(stages[1], full)[0] for stages in options]),
        strict=True,
    )
    errors = [math.dist(gain, demands) for gain in gains]
    return options[errors.index(min(errors))]


def candidates(
    first: Stage, choice: ContentChoice, full: Sizes, n_steps: int
) -> tuple[Stages, ...]:
    """All within the budget's tolerance; the closest to it where a small grid allows none."""
    end, last = choice.until_steps
    n_spaces = math.floor((1 - first.space) / _SPACE_STEP + 1e-9)
    spaces = {round(first.space + index * _SPACE_STEP, 6) for index in range(n_spaces + 1)} | {1.0}
    times = [frames / full[0] for frames in range(sizes_of(first, full)[0], full[0] + 1)]
    options = [
        (first, Stage(end, space, time), Stage(last, 1.0, time))
        for space in sorted(spaces)
        for time in times
    ]
    gaps = [abs(density(stages, full, n_steps) - choice.budget) for stages in options]
    limit = max(_TOLERANCE, min(gaps))
    return tuple(stages for stages, gap in zip(options, gaps, strict=True) if gap <= limit)


def _scaled(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.0 for value in values]
