"""An output that is kept to be returned again, as long as nobody has written into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sol.forward_arguments import tensors_in, version_of
from sol.skills.cache.memory import bytes_of


@dataclass(frozen=True)
class KeptOutput:
    """What a module returned: a tensor, or tuples, lists and dicts of them."""

    value: Any
    versions: tuple[int, ...]

    @classmethod
    def of(cls, value: Any) -> KeptOutput:
        return cls(value, _versions(value))

    @property
    def is_intact(self) -> bool:
        """Whether no consumer has written into it since it was kept."""
        return _versions(self.value) == self.versions

    @property
    def n_bytes(self) -> int:
        return bytes_of(tensors_in(self.value))


def _versions(value: Any) -> tuple[int, ...]:
    return tuple(version_of(tensor) for tensor in tensors_in(value))
