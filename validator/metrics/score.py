"""Scoring by name: every scorer runs once, and a pixel that is no number gives no number."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

import numpy as np

from sol.errors import UnknownNameError
from sol.measure.fidelity import Frames
from sol.validator.metrics.metric_error import MetricError
from sol.validator.metrics.table import PAIRED_METRICS, VIDEO_METRICS, Scores

_Scorer = TypeVar("_Scorer", bound=Callable[..., Scores])


def score_video(frames: Frames, names: Collection[str]) -> dict[str, float]:
    """Metrics of one video.

    Args:
        frames: (frames, height, width, 3), RGB in [0, 1], two frames or more.
        names: Of `VIDEO_METRICS`.

    Returns:
        By name, in the order of `names`; all NaN if a pixel is NaN or infinite.

    Raises:
        UnknownNameError: A name is not in the table.
        MetricError: A metric gave no score.
    """
    scorers = _choose(VIDEO_METRICS, names, "video metric")
    if not np.isfinite(frames).all():
        return dict.fromkeys(names, math.nan)
    return _gather((scorer(frames) for scorer in scorers), names)


def score_pair(reference: Frames, other: Frames, names: Collection[str]) -> dict[str, float]:
    """Metrics of a pair.

    Args:
        reference: (frames, height, width, 3), RGB in [0, 1], two frames or more.
        other: The same shape.
        names: Of `PAIRED_METRICS`.

    Returns:
        By name, in the order of `names`; all NaN if a pixel is NaN or infinite.

    Raises:
        UnknownNameError: A name is not in the table.
        MetricError: The shapes differ, or a metric gave no score.
    """
    scorers = _choose(PAIRED_METRICS, names, "paired metric")
    if reference.shape != other.shape:
        raise MetricError(
            f"A pair has one shape, got {reference.shape} and {other.shape}: make both videos "
            "with the same size and number of frames."
        )
    if not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return dict.fromkeys(names, math.nan)
    return _gather((scorer(reference, other) for scorer in scorers), names)


def _choose(table: Mapping[str, _Scorer], names: Iterable[str], kind: str) -> Iterable[_Scorer]:
    """The scorers of these names, each once."""
    for name in names:
        if name not in table:
            raise UnknownNameError(kind, name, table)
    return dict.fromkeys(table[name] for name in names)


def _gather(results: Iterable[Scores], names: Iterable[str]) -> dict[str, float]:
    found = {name: score for scores in results for name, score in scores.items()}
    return {name: found[name] for name in names}
