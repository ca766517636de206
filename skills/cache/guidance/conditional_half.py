"""The conditional half of a call with batched guidance: [unconditional, conditional]."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from sol.forward_arguments import SeenTensor, map_tensors


@dataclass
class ConditionalHalf:
    """Slices the arguments of a call.

    A tensor that comes again, unmodified, gives the same slice again: what recognises the text or
    the coordinates by their tensor still does.
    """

    _slices: dict[int, tuple[SeenTensor, torch.Tensor]] = field(default_factory=dict)

    def of(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], n_batch: int
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with the second half of every tensor, at any depth, that has n_batch rows.

        Args:
            n_batch: Rows of the doubled batch.
        """
        slices: dict[int, tuple[SeenTensor, torch.Tensor]] = {}

        def halve(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.ndim == 0 or tensor.shape[0] != n_batch:
                return tensor
            seen, half = self._slices.get(id(tensor), (None, None))
            if seen is None or half is None or not seen.is_still(tensor):
                seen, half = SeenTensor.of(tensor), tensor[n_batch // 2 :]
            slices[id(tensor)] = (seen, half)
            return half

        halved = map_tensors(halve, (args, kwargs))
        self._slices = slices
        half_args, half_kwargs = halved
        return half_args, half_kwargs

    def forget(self) -> None:
        self._slices = {}
