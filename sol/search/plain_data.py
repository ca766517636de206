"""Sol's own records as JSON and back, exactly.

Pydantic alone would not do: what is annotated `Any` (settings above all) would come back with
lists for tuples, and with text for the numbers that are keys of a mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np

_CLASS, _TUPLE, _MAPPING = "@class", "@tuple", "@mapping"
_OURS = "sol."


class NotPlainError(Exception):
    """A value that JSON cannot hold, such as an array."""


def to_plain(value: Any) -> Any:
    """What `json.dumps` takes; floats that are not finite as Python writes them.

    Raises:
        NotPlainError: Something in it is neither plain data nor a record of Sol's.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if isinstance(value, tuple):
        return {_TUPLE: [to_plain(item) for item in value]}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {_MAPPING: [[to_plain(key), to_plain(item)] for key, item in value.items()]}
    if is_dataclass(value) and type(value).__module__.startswith(_OURS):
        return {_CLASS: name_of(type(value)), **_fields_of(value)}
    raise NotPlainError(f"{type(value).__name__} is no plain data.")


def from_plain(data: Any) -> Any:
    """What `to_plain` was given.

    Raises:
        NotPlainError: It names a record that Sol no longer has, or has with other fields.
    """
    if isinstance(data, list):
        return [from_plain(item) for item in data]
    if not isinstance(data, dict):
        return data
    if _TUPLE in data:
        return tuple(from_plain(item) for item in data[_TUPLE])
    if _MAPPING in data:
        return {from_plain(key): from_plain(item) for key, item in data[_MAPPING]}
    return _make_record(data)


def name_of(thing: type | Callable[..., Any]) -> str:
    """Module and name of a class or a function."""
    return f"{thing.__module__}:{thing.__qualname__}"


def _fields_of(record: Any) -> dict[str, Any]:
    return {f.name: to_plain(getattr(record, f.name)) for f in fields(record) if f.init}


def _make_record(data: Mapping[str, Any]) -> Any:
    name = str(data.get(_CLASS, ""))
    module, _, path = name.partition(":")
    if not module.startswith(_OURS):
        raise NotPlainError(f"{name!r} is no record of Sol's.")
    try:
        record: Any = getattr(import_module(module), path)
        values = {key: from_plain(item) for key, item in data.items() if key != _CLASS}
        return record(**values)
    except (ImportError, AttributeError, TypeError) as error:
        raise NotPlainError(f"{name} cannot be made again: {error}") from error
