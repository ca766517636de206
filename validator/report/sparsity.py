"""Where self-attention of the baseline is sparse, as the report says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerSparsity:
    """Self-attention of one layer where few blocks of keys are kept; means over its heads.

    Attributes:
        mass: Attention on the best blocks.
        error: Relative error of the output, by what stands for the others.
        overlap: Share of the chosen blocks that were chosen elsewhere, by where.
    """

    mass: float
    error: Mapping[str, float]
    overlap: Mapping[str, float]


@dataclass(frozen=True)
class SparsityReport:
    """Self-attention of the baseline at one density.

    Attributes:
        density: Share of the blocks that is kept.
        block: Tokens of a block.
        overlap_by_lot: Overlap of blocks that are drawn.
    """

    density: float
    block: int
    layers: tuple[LayerSparsity, ...]
    overlap_by_lot: float
