"""A pattern that is known from the grid alone: the nearest blocks by some distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sol.skills.sparse_attention.block_choice import Place
from sol.skills.sparse_attention.selection.ranking import keep_best, n_kept


@dataclass(frozen=True)
class FixedPattern:
    """See `Pattern`.

    Attributes:
        score: (blocks, blocks) of a place; larger is nearer.
        density: Share of the blocks that is kept.
    """

    score: Callable[[Place], Tensor]
    density: float
    refresh: None = None

    def choose(self, place: Place, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = self.score(place)
        kept = keep_best(scores, n_kept(self.density, scores.shape[-1]), place.forced)
        return kept.expand(1, query.shape[1], -1, -1)
