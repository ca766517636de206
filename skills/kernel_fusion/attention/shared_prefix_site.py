"""The stand-in for a self-attention that is the same in both branches of guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sol.forward_arguments import map_tensors, tensors_in
from sol.stand_in import StandIn


@dataclass(frozen=True)
class SeenCall:
    """What a site was given, and what it returned."""

    arguments: Any
    output: torch.Tensor

    def has_equal_halves(self) -> bool:
        """Whether both halves of the batch were given the same, bit by bit."""
        tensors = list(tensors_in(self.arguments))
        n_batch = tensors[0].shape[0]
        return n_batch % 2 == 0 and all(
            torch.equal(*tensor.chunk(2)) for tensor in tensors if _has_rows(tensor, n_batch)
        )

    def was_given_the_same(self, other: SeenCall) -> bool:
        """Whether both calls got equal tensors, bit by bit."""
        tensors, others = list(tensors_in(self.arguments)), list(tensors_in(other.arguments))
        return len(tensors) == len(others) and all(map(torch.equal, tensors, others))


class SharedPrefixSite(StandIn):
    """Stands for a self-attention, whose first argument is the hidden states.

    Only plain attributes decide, so that torch.compile can trace it.

    Attributes:
        watch: Leave arguments and output in `seen`.
        halve: Compute the first half of the batch, and return it twice.
        reuse: Return this instead of computing.
        was_called: Whether it was, since the last release.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner)
        self.watch = False
        self.halve = False
        self.reuse: torch.Tensor | None = None
        self.seen: tuple[Any, torch.Tensor] | None = None
        self.was_called = False

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.was_called = True
        if self.reuse is not None:
            return self.reuse
        if self.halve:
            return self._twice_the_half(args, kwargs)
        output: torch.Tensor = self.inner(*args, **kwargs)
        if self.watch:
            self.seen = ((args, kwargs), output)
        return output

    def _twice_the_half(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        n_batch = next(tensors_in((args, kwargs))).shape[0]

        def first_half(tensor: torch.Tensor) -> torch.Tensor:
            return tensor[: n_batch // 2] if _has_rows(tensor, n_batch) else tensor

        half_args, half_kwargs = map_tensors(first_half, (args, kwargs))
        output: torch.Tensor = self.inner(*half_args, **half_kwargs)
        # What was kept of a call with the whole batch, by a cache inside, is whole already.
        return output if output.shape[0] == n_batch else torch.cat([output, output])

    def release(self) -> SeenCall | None:
        """Back to computing; hands over what was seen and holds nothing."""
        seen, self.seen = self.seen, None
        self.watch = self.halve = self.was_called = False
        self.reuse = None
        return None if seen is None else SeenCall(*seen)


def _has_rows(tensor: torch.Tensor, n_batch: int) -> bool:
    return tensor.ndim > 0 and tensor.shape[0] == n_batch
