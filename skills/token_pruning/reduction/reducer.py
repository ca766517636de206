"""What stands between the machinery around the blocks and the methods that choose tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from sol.roles import TokenGrid


@dataclass(frozen=True)
class DenoiserCall:
    """One call of a denoiser.

    Attributes:
        branch: The guidance branch that it computes; "both" for batched guidance.
        latents: The noisy latents that it is given.
        grid: How its tokens lie.
        n_samples: Videos in its batch, each once for each of the call's guidance branches.
        args, kwargs: Of the denoiser.
    """

    branch: str
    latents: Tensor
    grid: TokenGrid
    n_samples: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def of_grid(self, hidden: Tensor) -> Tensor:
        """The states of the grid's tokens, without those of text."""
        return hidden[:, self.grid.n_before : self.grid.n_tokens - self.grid.n_after]


class Reduction(Protocol):
    """One way from all tokens of a call to fewer of them, and back."""

    @property
    def n_kept(self) -> int:
        """Tokens that the blocks compute."""
        ...

    def reduce(self, hidden: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, n_kept, width)."""
        ...

    def select(self, table: Tensor) -> Tensor:
        """The rows of the kept tokens in another argument of the blocks: positions, timesteps."""
        ...

    def expand(self, hidden: Tensor, output: Tensor) -> Tensor:
        """What all tokens become.

        Args:
            hidden: Before the blocks, (batch, tokens, width).
            output: Behind them, of the kept tokens, (batch, n_kept, width).
        """
        ...


class Reducer(Protocol):
    """Decides, for one denoiser, which calls are reduced and how."""

    @property
    def bytes_held(self) -> int:
        """What it keeps between calls."""
        ...

    @property
    def n_refused(self) -> int:
        """Calls from which it kept nothing for want of room."""
        ...

    def choose(self, call: DenoiserCall, hidden: Tensor) -> Reduction | None:
        """How this call is reduced, or None where all tokens are computed.

        Args:
            hidden: States before the first of the active blocks, (batch, tokens, width).
        """
        ...

    def wants(self, call: DenoiserCall) -> bool:
        """Whether it is to be told what the blocks make of all tokens in this call."""
        ...

    def record(self, call: DenoiserCall, hidden: Tensor, output: Tensor) -> None:
        """Told of a call with all tokens: their states before and behind the active blocks."""
        ...

    def finish(self, call: DenoiserCall, result: Tensor) -> None:
        """Told of every call what the denoiser returned."""
        ...

    def leave(self) -> None:
        """A call is over, in an error too."""
        ...

    def forget(self) -> None:
        """A new video begins: no state crosses."""
        ...
