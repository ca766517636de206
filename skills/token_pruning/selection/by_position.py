"""Keeping tokens whatever they hold: what a score must beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sol.clock import Clock
from sol.skills.token_pruning.reduction.reducer import DenoiserCall
from sol.skills.token_pruning.reduction.token_rows import Rows
from sol.skills.token_pruning.selection.selection import count_kept, find_strongest

_GOLDEN = 0.6180339887498949
_STEPS_PER_SEED = 1_000_003


@dataclass(frozen=True)
class EvenlySpaced:
    """A share of the tokens at even distances, beginning elsewhere in every step.

    Each step begins a golden section of the distance further, so that all tokens have their turn.
    """

    keep: float
    clock: Clock
    bytes_held: int = 0

    def choose(self, call: DenoiserCall, hidden: Tensor) -> Rows | None:
        n_tokens = hidden.shape[1]
        n_kept = count_kept(self.keep, n_tokens)
        if n_kept == n_tokens:
            return None
        begin = self.clock.step * _GOLDEN % 1.0
        places = (torch.arange(n_kept, dtype=torch.float64) + begin) * (n_tokens / n_kept)
        return places.long()[None].to(hidden.device)

    def observe(self, call: DenoiserCall, result: Tensor, rows: Rows | None) -> None:
        """What was computed does not matter."""

    def forget(self) -> None:
        """It remembers nothing."""


@dataclass(frozen=True)
class AtRandom:
    """A share of the tokens, drawn anew in every step from `seed` and the step."""

    keep: float
    seed: int
    clock: Clock
    bytes_held: int = 0

    def choose(self, call: DenoiserCall, hidden: Tensor) -> Rows | None:
        # Drawn on the CPU: the same tokens on every device.
        generator = torch.Generator().manual_seed(self.seed * _STEPS_PER_SEED + self.clock.step)
        scores = torch.rand(1, hidden.shape[1], generator=generator)
        rows = find_strongest(scores, count_kept(self.keep, hidden.shape[1]))
        return None if rows is None else rows.to(hidden.device)

    def observe(self, call: DenoiserCall, result: Tensor, rows: Rows | None) -> None:
        """What was computed does not matter."""

    def forget(self) -> None:
        """It remembers nothing."""
