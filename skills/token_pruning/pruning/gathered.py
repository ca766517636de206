"""Leaving tokens out: the blocks compute some, the others are predicted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sol.roles import TokenGrid
from sol.skills.token_pruning.memory.token_memory import TokenMemory
from sol.skills.token_pruning.reduction.token_rows import Rows, other_rows, put_rows, take_rows


@dataclass(frozen=True)
class Gathered:
    """The tokens in `rows` alone.

    Attributes:
        residuals: What the blocks added to each token; None takes it to be zero in the others.
        position: Of the call on the trajectory.
    """

    rows: Rows
    residuals: TokenMemory | None
    position: float

    @property
    def n_kept(self) -> int:
        return self.rows.shape[1]

    def reduce(self, hidden: Tensor) -> Tensor:
        return take_rows(hidden, self.rows)

    def select(self, table: Tensor) -> Tensor:
        return take_rows(table, self.rows)

    def expand(self, hidden: Tensor, output: Tensor) -> Tensor:
        expanded = hidden.detach().clone()
        put_rows(expanded, self.rows, output)
        if self.residuals is not None:
            others = other_rows(self.rows, hidden.shape[1])
            predicted = self.residuals.predict(self.position, others)
            put_rows(expanded, others, take_rows(hidden, others) + predicted)
            computed = output - take_rows(hidden, self.rows)
            self.residuals.keep_some(computed, self.position, self.rows)
        return expanded


def with_text(rows: Rows, grid: TokenGrid) -> Rows:
    """Rows of the grid as rows of all tokens, with those of all text."""
    before = torch.arange(grid.n_before, device=rows.device)
    after = torch.arange(grid.n_tokens - grid.n_after, grid.n_tokens, device=rows.device)
    before, after = (text.expand(len(rows), -1) for text in (before, after))
    return torch.cat([before, rows + grid.n_before, after], dim=1)
