"""Outputs held for a few steps, within a limit of memory."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class _Held:
    output: torch.Tensor
    last_use: int


@dataclass
class OutputStore:
    """Outputs by key, each until the last step that may return it.

    Attributes:
        limit: Bytes that all of them may take together.
        held: Bytes that they take now.
        peak: The most that they have taken.
    """

    limit: int
    held: int = 0
    peak: int = 0
    _outputs: dict[Hashable, _Held] = field(default_factory=dict)

    def find(self, key: Hashable) -> torch.Tensor | None:
        held = self._outputs.get(key)
        return None if held is None else held.output

    def has_room(self, n_bytes: int) -> bool:
        return self.held + n_bytes <= self.limit

    def keep(self, key: Hashable, output: torch.Tensor, last_use: int) -> bool:
        """Keeps `output`, which replaces the one before; False if there is no room for it."""
        self.drop(key)
        if not self.has_room(output.nbytes):
            return False
        self._outputs[key] = _Held(output, last_use)
        self.held += output.nbytes
        self.peak = max(self.peak, self.held)
        return True

    def drop(self, key: Hashable) -> None:
        held = self._outputs.pop(key, None)
        if held is not None:
            self.held -= held.output.nbytes

    def drop_used(self, key: Hashable, step: int) -> None:
        """Drops the output of `key` if no step after `step` may return it."""
        held = self._outputs.get(key)
        if held is not None and held.last_use <= step:
            self.drop(key)

    def drop_before(self, step: int) -> None:
        """Drops what no step from `step` on may return."""
        for key in list(self._outputs):
            self.drop_used(key, step - 1)

    def clear(self) -> None:
        self._outputs.clear()
        self.held = 0
