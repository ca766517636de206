"""Whether techniques counted the same here as in a recipe. Pure comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from sol.commands.reproduction import Comparison

Counts = Mapping[str, Mapping[str, int]]
"""What each technique counted, by its name."""


def compare_engagement(recorded: Counts, seen: Sequence[Counts]) -> tuple[Comparison, ...]:
    """What the techniques counted, of which a recipe holds the sum over all videos of a process.

    A count that every video here leaves as it was must equal the recipe's. One that every video
    after the first raises by the same must be reached after some whole number of videos, the same
    for all such counts. One that varies from video to video decides nothing.

    Args:
        seen: The sums after the first video made here, after the second, and so on: three or more.
    """
    here, was = _flatten(seen[-1]), _flatten(recorded)
    grown = {name: _series(name, seen) for name in here if name in was}
    n_videos = {name: _find_n_videos(was[name], series) for name, series in grown.items()}
    counted = Counter(n for n in n_videos.values() if n is not None)
    common = counted.most_common(1)[0][0] if counted else None
    return (
        *(_compare_count(name, was[name], series, common) for name, series in grown.items()),
        *(
            Comparison(f"counted: {name}", was.get(name), here.get(name), None, "in one only")
            for name in sorted(was.keys() ^ here.keys())
        ),
    )


def _flatten(counts: Counts) -> dict[str, int]:
    return {f"{name}.{key}": n for name, of in counts.items() for key, n in of.items()}


def _series(name: str, seen: Sequence[Counts]) -> tuple[int, ...]:
    return tuple(_flatten(counts).get(name, 0) for counts in seen)


def _find_growth(series: Sequence[int]) -> int | None:
    """By how much every video after the first raised it; None where that varies."""
    steps = {after - before for before, after in pairwise(series)}
    return steps.pop() if len(steps) == 1 else None


def _find_n_videos(recorded: int, series: Sequence[int]) -> int | None:
    """After how many videos a growing count reaches what was recorded; None for never."""
    growth = _find_growth(series)
    if not growth:
        return None
    n_further, rest = divmod(recorded - series[0], growth)
    return n_further + 1 if rest == 0 and n_further >= 0 else None


def _compare_count(
    name: str, recorded: int, series: Sequence[int], n_videos: int | None
) -> Comparison:
    growth, what = _find_growth(series), f"counted: {name}"
    if growth is None:
        return Comparison(what, recorded, series[-1], None, "varies from video to video")
    if growth == 0:
        return Comparison(what, recorded, series[0], recorded == series[0], "of any video")
    if n_videos is None:
        detail = f"{series[0]}, then {growth} more a video: never {recorded}"
        return Comparison(what, recorded, series[-1], False, detail)
    expected = series[0] + (n_videos - 1) * growth
    detail = f"{growth} a video, of {n_videos} videos"
    return Comparison(what, recorded, expected, recorded == expected, detail)
