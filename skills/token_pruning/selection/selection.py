"""What chooses the tokens that are kept."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from sol.skills.token_pruning.reduction.reducer import DenoiserCall
from sol.skills.token_pruning.reduction.token_rows import Rows


class Selection(Protocol):
    """Chooses in the first call of each step, which the unconditional call of the step follows.

    Where the branches of guidance left out other tokens, it would amplify their difference.
    """

    @property
    def bytes_held(self) -> int:
        """What it keeps between calls."""
        ...

    def choose(self, call: DenoiserCall, hidden: Tensor) -> Rows | None:
        """The tokens of the grid that are kept, or None for all of them.

        Args:
            hidden: States of the grid's tokens before the active blocks, (batch, tokens, width).
        """
        ...

    def observe(self, call: DenoiserCall, result: Tensor, rows: Rows | None) -> None:
        """Told what the denoiser returned in the first call of each step.

        Args:
            rows: The tokens of the grid that were computed; None for all of them.
        """
        ...

    def forget(self) -> None:
        """A new video begins."""
        ...


def count_kept(keep: float, n_tokens: int) -> int:
    """How many tokens a share of them is; at least one."""
    return max(1, round(keep * n_tokens))


def find_strongest(scores: Tensor, n: int) -> Rows | None:
    """The `n` tokens of each sample with the highest scores, (samples, tokens); None for all."""
    if n >= scores.shape[1]:
        return None
    return scores.topk(n, dim=1).indices.sort(dim=1).values


def mean_by_sample(scores: Tensor, n_samples: int) -> Tensor:
    """(batch, tokens) -> (samples, tokens): the mean over a sample's branches of guidance."""
    return scores.reshape(-1, n_samples, scores.shape[1]).mean(0)
