"""The dimensions of VBench that score any prompt, and its quality aggregate over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sol.errors import UnknownNameError
from sol.validator.vbench.error import VBenchError


@dataclass(frozen=True)
class Dimension:
    """One dimension.

    Attributes:
        low: Raw score that counts as 0 in the aggregate.
        high: Raw score that counts as 1.
        weight: Share in its aggregate.
        is_quality: Whether it is part of the quality aggregate; otherwise of the semantic one.
        least: Smallest raw score that a video can have; the largest is 1.
    """

    name: str
    low: float
    high: float
    weight: float = 1.0
    is_quality: bool = True
    least: float = 0.0


MOST = 1.0
"""The largest raw score of every dimension."""

DIMENSIONS: Mapping[str, Dimension] = {
    dimension.name: dimension
    for dimension in (
        Dimension("subject_consistency", 0.1462, 1.0),
        Dimension("background_consistency", 0.2615, 1.0),
        Dimension("temporal_flickering", 0.6293, 1.0),
        Dimension("motion_smoothness", 0.706, 0.9975),
        Dimension("dynamic_degree", 0.0, 1.0, weight=0.5),
        Dimension("aesthetic_quality", 0.0, 1.0),
        Dimension("imaging_quality", 0.0, 1.0),
        # A cosine of two embeddings.
        Dimension("overall_consistency", 0.0, 0.364, is_quality=False, least=-1.0),
    )
}
"""Ranges and weights: VBench's `scripts/constant.py`, which its package leaves out. In custom
mode VBench refuses six more dimensions, `human_action` reads its label from the file's name, and
`temporal_style` runs the same code as `overall_consistency`."""


def check_dimensions(names: Iterable[str]) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        UnknownNameError: One is not in the table.
        VBenchError: None at all, or one twice.
    """
    names = tuple(names)
    for name in names:
        if name not in DIMENSIONS:
            raise UnknownNameError("VBench dimension", name, DIMENSIONS)
    if not names or len(set(names)) != len(names):
        raise VBenchError(
            f"VBench scores one dimension or more, each once, got {', '.join(names) or 'none'}: "
            f"choose from {', '.join(DIMENSIONS)}."
        )
    return names


def quality_total(scores: Mapping[str, float]) -> float:
    """VBench's quality score over those of its seven dimensions that were run.

    sum(w (x - low) / (high - low)) / sum(w), as in `scripts/cal_final_score.py` of VBench, where
    all seven are there and the weights sum to 6.5. Without all seven it is comparable only with
    itself: of two arms, over the same dimensions.

    Args:
        scores: Raw scores, averaged over the videos of one arm, by dimension. Those that are no
            part of the quality score are passed over.

    Raises:
        UnknownNameError: A dimension is not in the table.
        VBenchError: No quality dimension is there.
    """
    known = [DIMENSIONS[name] for name in check_dimensions(scores)]
    quality = [dimension for dimension in known if dimension.is_quality]
    if not quality:
        raise VBenchError(
            "VBench's quality score needs one of its quality dimensions, got "
            f"{', '.join(scores)}: run temporal_flickering, which needs no weights."
        )
    parts = (d.weight * (scores[d.name] - d.low) / (d.high - d.low) for d in quality)
    return sum(parts) / sum(d.weight for d in quality)
