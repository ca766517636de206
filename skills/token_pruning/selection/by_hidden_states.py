"""Keeping the tokens whose hidden states stand out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from sol.skills.token_pruning.reduction.reducer import DenoiserCall
from sol.skills.token_pruning.reduction.token_rows import Rows
from sol.skills.token_pruning.selection.selection import (
    count_kept,
    find_strongest,
    mean_by_sample,
)

HiddenScore = Literal["feature_norm", "l1", "variance"]

HIDDEN_SCORES: tuple[HiddenScore, ...] = get_args(HiddenScore)

_SCORES: dict[HiddenScore, Callable[[Tensor], Tensor]] = {
    "feature_norm": lambda hidden: hidden.square().sum(-1),
    "l1": lambda hidden: hidden.abs().sum(-1),
    "variance": lambda hidden: torch.var(hidden, -1),
}


@dataclass(frozen=True)
class ByHiddenStates:
    """Keeps a share of the tokens, by a score of their states before the active blocks."""

    score: HiddenScore
    keep: float
    bytes_held: int = 0

    def choose(self, call: DenoiserCall, hidden: Tensor) -> Rows | None:
        scores = mean_by_sample(_SCORES[self.score](hidden.float()), call.n_samples)
        return find_strongest(scores, count_kept(self.keep, hidden.shape[1]))

    def observe(self, call: DenoiserCall, result: Tensor, rows: Rows | None) -> None:
        """The states say it all."""

    def forget(self) -> None:
        """It remembers nothing."""
