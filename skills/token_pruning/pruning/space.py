"""What the search spaces of the techniques that leave tokens out have in common."""

from __future__ import annotations

from sol.diagnosis import Diagnosis
from sol.space import Int, Knob, Ranked
from sol.target import Workload

_LONGEST_REFRESH = 6
_FEWEST_STEPS = 4
_EARLY = 6
"""One in so many steps is the warm-up of first settings."""

LEAST_KEPT = 0.2
"""Of the tokens, in the spaces: below it a step is better left out as a whole."""


def pruning_knobs(workload: Workload) -> dict[str, Knob]:
    """Knobs of `PruningSettings`; none for a run that is too short to leave anything out.

    The ranks are those of the measurements in `token_prune`.
    """
    if workload.steps < _FEWEST_STEPS:
        return {}
    return {
        "warmup": Int(2, max(2, workload.steps // 3), bolder="down"),
        "refresh": Int(2, _LONGEST_REFRESH, bolder="up"),
        "compensation": Ranked(("linear", "previous")),
        "context": Ranked(("extrapolated", "remembered", "kept")),
    }


def early(workload: Workload) -> int:
    """The warm-up of first settings."""
    return max(2, workload.steps // _EARLY)


def saves(diagnosis: Diagnosis) -> float:
    """The denoiser's time but for the tokens that are kept at least."""
    return diagnosis.denoise_s * (1 - LEAST_KEPT)
