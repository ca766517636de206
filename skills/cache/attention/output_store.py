"""Outputs held for a few steps, within a limit of memory."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from sol.forward_arguments import tensors_in
from sol.skills.cache.memory import bytes_of


def size_of(output: Any) -> int:
    """Bytes of a module's output: a tensor, or several."""
    return bytes_of(tensors_in(output))


@dataclass(frozen=True)
class _Held:
    output: Any
    n_bytes: int
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

    def find(self, key: Hashable) -> Any:
        held = self._outputs.get(key)
        return None if held is None else held.output

    def has_room(self, n_bytes: int) -> bool:
        return self.held + n_bytes <= self.limit

    def keep(self, key: Hashable, output: Any, last_use: int) -> bool:
        """Keeps `output`, which replaces the one before; False if there is no room for it."""
        self.drop(key)
        n_bytes = size_of(output)
        if not self.has_room(n_bytes):
            return False
        self._outputs[key] = _Held(output, n_bytes, last_use)
        self.held += n_bytes
        self.peak = max(self.peak, self.held)
        return True

    def drop(self, key: Hashable) -> None:
        held = self._outputs.pop(key, None)
        if held is not None:
            self.held -= held.n_bytes

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
