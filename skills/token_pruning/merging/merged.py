"""Merging tokens: the blocks compute the mean of those that are alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sol.roles import TokenGrid
from sol.skills.token_pruning.merging.matching import Matching
from sol.skills.token_pruning.reduction.token_rows import Rows, for_batch, other_rows, take_rows


@dataclass(frozen=True)
class Merged:
    """The tokens in `rows`, with others merged into some of them.

    Attributes:
        sources: The others.
        places: Among `rows`, of every token or of the one it is merged into.
    """

    rows: Rows
    sources: Rows
    places: Rows

    @property
    def n_kept(self) -> int:
        return self.rows.shape[1]

    def reduce(self, hidden: Tensor) -> Tensor:
        """The mean of each kept token and what is merged into it."""
        kept, sources = take_rows(hidden, self.rows), take_rows(hidden, self.sources)
        into = self.places.gather(1, self.sources)[..., None]
        counts = torch.ones_like(kept[:, :, :1]).scatter_add(
            1, into.expand(len(kept), -1, -1), torch.ones_like(sources[:, :, :1])
        )
        return kept.scatter_add(1, into.expand_as(sources), sources) / counts

    def select(self, table: Tensor) -> Tensor:
        """A merged token stands where its destination stands."""
        return take_rows(table, self.rows)

    def expand(self, hidden: Tensor, output: Tensor) -> Tensor:
        """Each token gets what the blocks added to the mean that it was part of."""
        return hidden + take_rows(output - self.reduce(hidden), self.places)


def merge_pairs(matching: Matching, grid: TokenGrid, n_batch: int) -> Merged:
    """Merges the sources of the grid into their destinations; text stays as it is."""
    sources = (matching.sources + grid.n_before).sort(dim=1)
    destinations = (matching.destinations + grid.n_before).gather(1, sources.indices)
    rows = other_rows(sources.values, grid.n_tokens)
    places = torch.empty(len(rows), grid.n_tokens, dtype=rows.dtype, device=rows.device)
    places.scatter_(1, rows, torch.arange(rows.shape[1], device=rows.device).expand_as(rows))
    places.scatter_(1, sources.values, places.gather(1, destinations))
    return Merged(*(for_batch(each, n_batch) for each in (rows, sources.values, places)))
