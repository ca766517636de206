"""YAML as plain data of bounded size, and nothing else: what recipes are read with.

A recipe may come from a stranger. What YAML offers beyond JSON is refused: tags, anchors and
aliases (a few lines of them unfold to gigabytes), keys given twice (PyYAML lets the last one win
in silence), keys that are not text, NaN and infinities. A date stays text. Limits are checked
while the text is read, before anything is built from it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

# 25 times the longest recipe that ships. PyYAML reads some 400 kB a second.
MAX_BYTES: Final = 256 * 1024
# A fitted table of 100 steps by 100 numbers, twice; each value takes about 1 kB while it is read.
MAX_VALUES: Final = 20_000
# stack, its members, their config, a table, its rows: five, and as many again in reserve.
MAX_DEPTH: Final = 10
# What 64 bits hold; Python's own integers grow until the memory is full.
MAX_INTEGER: Final = 2**63 - 1

_MAX_DIGITS = 40
# They make a terminal show a text in another order than it is read.
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SPACES = frozenset("\n\r\t")


class NotPlainError(yaml.YAMLError):
    """Well-formed YAML that is more than plain data, or more than is allowed of it."""

    def __init__(self, event: Any, rule: str) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        super().__init__(f"line {line}, column {column}: {rule}")


def load_plain(text: str) -> Any:
    """Text, finite numbers, true, false and null, in lists and in mappings with text keys.

    Raises:
        NotPlainError: More than that, or more of it than this module's limits.
        yaml.YAMLError: Not YAML.
    """
    return _Builder(yaml.parse(text, Loader=yaml.SafeLoader)).build_document()


def is_hidden(character: str) -> bool:
    """Whether it is a control character, half of a surrogate pair, or one that reorders text."""
    is_control = unicodedata.category(character) in ("Cc", "Cs") and character not in _SPACES
    return is_control or character in _REORDERING


def shorten(value: object, limit: int = 60) -> str:
    """A value's `repr` for an error message, cut to `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


@dataclass
class _Builder:
    """Builds a value from the parser's events, each of which is checked when it comes."""

    events: Iterator[Any]
    n_values: int = 0

    def build_document(self) -> Any:
        next(self.events)
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            return None
        value = self._build(next(self.events), depth=0)
        next(self.events)
        end = next(self.events)
        if not isinstance(end, yaml.StreamEndEvent):
            raise NotPlainError(end, "a second document begins. Keep one.")
        return value

    def _build(self, event: Any, depth: int) -> Any:
        self.n_values += 1
        _check(event, self.n_values, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return [self._build(item, depth + 1) for item in self._until(yaml.SequenceEndEvent)]
        if isinstance(event, yaml.MappingStartEvent):
            return self._build_mapping(depth + 1)
        return _read_scalar(event)

    def _build_mapping(self, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for event in self._until(yaml.MappingEndEvent):
            key = self._build(event, depth)
            if not isinstance(key, str):
                raise NotPlainError(event, f"keys are text, got {shorten(key)}. Put it in quotes.")
            if key in mapping:
                raise NotPlainError(event, f"the key {shorten(key)} is there twice. Remove one.")
            mapping[key] = self._build(next(self.events), depth)
        return mapping

    def _until(self, end: type[Any]) -> Iterator[Any]:
        while not isinstance(event := next(self.events), end):
            yield event


def _check(event: Any, n_values: int, depth: int) -> None:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise NotPlainError(event, "anchors and aliases are not read. Write the value out.")
    if event.tag is not None:
        raise NotPlainError(event, f"tags are not read, got {shorten(event.tag)}. Remove it.")
    if n_values > MAX_VALUES:
        raise NotPlainError(event, f"more than {MAX_VALUES} values. Remove what is not needed.")
    if depth > MAX_DEPTH:
        raise NotPlainError(event, f"nested more than {MAX_DEPTH} deep. Flatten it.")


def _read_scalar(event: Any) -> Any:
    is_plain = event.style is None
    for pattern, read in _SCALARS:
        if is_plain and pattern.fullmatch(event.value):
            return read(event)
    return _read_text(event)


def _read_text(event: Any) -> str:
    text = str(event.value)
    hidden = next(filter(is_hidden, text), None)
    if hidden is not None:
        raise NotPlainError(event, f"text has no control characters, got {hidden!r}. Remove it.")
    return text


def _read_integer(event: Any) -> int:
    if len(event.value) > _MAX_DIGITS or abs(int(event.value)) > MAX_INTEGER:
        rule = f"integers have at most 64 bits, got {shorten(event.value)}. Write a smaller one."
        raise NotPlainError(event, rule)
    return int(event.value)


def _read_number(event: Any) -> float:
    number = float(event.value)
    if not math.isfinite(number):
        raise NotPlainError(event, f"numbers are finite, got {shorten(event.value)}. Correct it.")
    return number


def _refuse_number(event: Any) -> float:
    raise NotPlainError(event, f"numbers are finite, got {event.value}. Correct it.")


# What a scalar without quotes must look like in full to be other than text. Nothing here that
# PyYAML takes for text, which it writes without quotes: "1e5" and "007" stay what they were.
_SCALARS: tuple[tuple[re.Pattern[str], Callable[[Any], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda event: None),
    (re.compile(r"true|True|TRUE"), lambda event: True),
    (re.compile(r"false|False|FALSE"), lambda event: False),
    (re.compile(r"[-+]?(?:0|[1-9][0-9]*)"), _read_integer),
    (re.compile(r"(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?"), _read_number),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"), _refuse_number),
)
