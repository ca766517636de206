"""Whether a technique did its work in one video, by what it had counted before and after.

`Evidence.engaged` is of all videos so far: once true, it stays so for most techniques, also where
the last video got nothing from them.
"""

from __future__ import annotations

from collections.abc import Mapping

from sol.technique import Evidence

_WORK = (
    "_skipped",
    "_reused",
    "_left_out",
    "_saved",
    "_shared",
    "cast_calls",
    "quantized_calls",
    "graph_runs",
    "denoiser_calls",
)
"""How the counts end that rise where something was saved."""

_FAULTS = ("eager_calls", "cuda_graph_skips")
"""Counts that rise where a technique had to step aside."""


def find_disengaged(
    before: Mapping[str, Evidence], after: Mapping[str, Evidence]
) -> tuple[str, ...]:
    """The techniques that did nothing in the video between the two."""
    return tuple(name for name in after if not has_engaged(before[name], after[name]))


def has_engaged(before: Evidence, after: Evidence) -> bool:
    """Whether the video between the two got something from the technique."""
    rose = [name for name, n in after.counts.items() if n > before.counts.get(name, 0)]
    if any(name.endswith(_FAULTS) for name in rose):
        return False
    had_faults = any(n for name, n in after.counts.items() if name.endswith(_FAULTS))
    if not after.engaged and not had_faults:
        return False
    # What only fills its tables in the first video counts nothing yet, and says it is engaged.
    return not before.engaged or any(name.endswith(_WORK) for name in rose)
