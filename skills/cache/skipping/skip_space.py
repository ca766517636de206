"""What the search spaces of adaptive caches have in common."""

from __future__ import annotations

from sol.skills.cache.skipping.reuse import ReuseKind
from sol.space import Choice, Int, Knob

_LONGEST_RUN = 6
_KINDS: tuple[ReuseKind, ...] = ("residual", "taylor1")


def latest_warmup(n_steps: int) -> int:
    """The longest warm-up that is searched: a third of the video."""
    return max(2, n_steps // 3)


def skip_knobs(
    n_steps: int, least_warmup: int = 1, kinds: tuple[ReuseKind, ...] = _KINDS
) -> dict[str, Knob]:
    """Knobs of `SkipSettings`, for a video of `n_steps` steps."""
    return {
        "warmup": Int(least_warmup, latest_warmup(n_steps), bolder="down"),
        "max_skips": Int(1, _LONGEST_RUN, bolder="up"),
        "reuse": Choice(kinds),
    }
