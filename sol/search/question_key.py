"""What was asked of a worker, as a short text: equal questions have equal keys, in any process."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from sol.search.plain_data import NotPlainError, name_of


def find_key(method: str, args: tuple[Any, ...], root: Path) -> str | None:
    """SHA-256 of the question; None where an argument has no lasting name, such as a lambda.

    Args:
        root: Paths below it count from there, so that a folder may be moved.
    """
    try:
        question = [method, _Canonical(root.resolve()).of(args)]
    except NotPlainError:
        return None
    return hashlib.sha256(json.dumps(question, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class _Canonical:
    root: Path

    def of(self, value: Any) -> Any:
        """Tuples as lists and mappings as sorted pairs: as after a way through a file."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.generic):
            return self.of(value.item())
        if isinstance(value, list | tuple):
            return [self.of(item) for item in value]
        if isinstance(value, Mapping):
            pairs = ([self.of(key), self.of(item)] for key, item in value.items())
            return {"mapping": sorted(pairs, key=json.dumps)}
        if isinstance(value, Set):
            return {"set": sorted((self.of(item) for item in value), key=json.dumps)}
        return self._of_object(value)

    def _of_object(self, value: Any) -> Any:
        if isinstance(value, Path):
            return {"path": self._of_path(value)}
        if isinstance(value, functools.partial):
            return {"partial": [self.of(p) for p in (value.func, value.args, value.keywords)]}
        if is_dataclass(value) and not isinstance(value, type):
            by_name = {f.name: self.of(getattr(value, f.name)) for f in fields(value)}
            return {"record": [type(value).__qualname__, by_name]}
        if not isinstance(value, FunctionType | type) or "<" in value.__qualname__:
            raise NotPlainError(f"{value!r} has no name of its own.")
        return {"name": name_of(value)}

    def _of_path(self, path: Path) -> str:
        whole = path.resolve()
        return str(whole.relative_to(self.root) if whole.is_relative_to(self.root) else whole)
