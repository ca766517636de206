"""A block's arguments for fewer tokens."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from sol.forward_arguments import map_tensors


class TokenTables:
    """What the blocks of one denoiser are given for each token besides its hidden state.

    All blocks of a call are given the same tables: each is reduced once.

    Args:
        names: Of the blocks' arguments.
        axes: Where a table has its rows along another axis than 1.
    """

    def __init__(self, names: tuple[str, ...], axes: Mapping[str, int]) -> None:
        self._names, self._axes = names, axes
        self.forget()

    def forget(self) -> None:
        """The call is over."""
        self._reduced: dict[int, tuple[Any, Any]] = {}

    def reduce(
        self,
        block: nn.Module,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        n_tokens: int,
        select: Callable[[Tensor], Tensor],
    ) -> dict[str, Any]:
        """By name, the tables in a call of `block`, with the rows that `select` takes.

        One that has a single row for all tokens stays as it is.
        """
        names = inspect.signature(block.forward).parameters
        given = {**dict(zip(names, args, strict=False)), **kwargs}

        def change(axis: int, tensor: Tensor) -> Tensor:
            if tensor.ndim <= axis or tensor.shape[axis] != n_tokens:
                return tensor
            return select(tensor.movedim(axis, 1)).movedim(1, axis)

        return {
            name: self._once(given[name], functools.partial(change, self._axes.get(name, 1)))
            for name in self._names
            if name in given
        }

    def _once(self, value: Any, change: Callable[[Tensor], Tensor]) -> Any:
        # The value is held with its copy: its id cannot become another one's during the call.
        if id(value) not in self._reduced:
            self._reduced[id(value)] = value, map_tensors(change, value)
        return self._reduced[id(value)][1]
