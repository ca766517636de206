"""When a technique is active: which denoising steps and which blocks, as strictly parsed text.

A range is a comma-separated list of `all`, `none`, `N`, `N-M` (both ends included, 0-based),
`first:N` and `last:N`. Anything else is an error: a misread "16-28" once meant "always".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sol.errors import ConfigError
from sol.target import STRICT

# No run has a million steps, no denoiser a million blocks: longer numbers are mistakes, or meant
# to cost time and memory.
_NUMBER = "[0-9]{1,6}"
_SINGLE = re.compile(_NUMBER)
_SPAN = re.compile(f"({_NUMBER})-({_NUMBER})")
_EDGE = re.compile(f"(first|last):({_NUMBER})")
_SYNTAX = "Write 'all', 'none', '7', '4-20', 'first:3', 'last:2', or several with commas."


@dataclass(frozen=True)
class Schedule:
    """Where a technique is active. `steps` counts denoising steps, `layers` counts blocks."""

    __pydantic_config__ = STRICT

    steps: str = "all"
    layers: str = "all"

    def __post_init__(self) -> None:
        for text in (self.steps, self.layers):
            for part in _parts(text):
                _check_syntax(part, text)

    def active_steps(self, n_steps: int) -> frozenset[int]:
        """The active steps of a run of `n_steps`; a step outside the run is an error."""
        return parse_range(self.steps, n_steps)

    def active_layers(self, n_layers: int) -> frozenset[int]:
        """The active blocks of a denoiser of `n_layers` blocks."""
        return parse_range(self.layers, n_layers)

    @property
    def restricted_axes(self) -> frozenset[str]:
        """The axes on which this schedule says anything but "all"."""
        given = {"steps": self.steps, "layers": self.layers}
        return frozenset(axis for axis, text in given.items() if text != "all")


def parse_range(text: str, n: int) -> frozenset[int]:
    """The indices in 0..n-1 that `text` names.

    Raises:
        ConfigError: The text is not a range, or names an index that does not exist.
    """
    indices: set[int] = set()
    for part in _parts(text):
        _check_syntax(part, text)
        indices |= _indices_of(part, n, text)
    return frozenset(indices)


def format_range(indices: frozenset[int]) -> str:
    """The shortest text that `parse_range` reads back as `indices`."""
    if not indices:
        return "none"
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _check_syntax(part: str, text: str) -> None:
    if part in ("all", "none") or _SINGLE.fullmatch(part) or _EDGE.fullmatch(part):
        return
    span = _SPAN.fullmatch(part)
    if span is None:
        raise ConfigError(f"{text!r} is not a range: {part!r} is not understood. {_SYNTAX}")
    if int(span[1]) > int(span[2]):
        raise ConfigError(f"{text!r} is not a range: {part!r} runs backwards.")


def _indices_of(part: str, n: int, text: str) -> set[int]:
    if part in ("all", "none"):
        return set(range(n)) if part == "all" else set()
    if edge := _EDGE.fullmatch(part):
        count = min(int(edge[2]), n)
        return set(range(count)) if edge[1] == "first" else set(range(n - count, n))
    low, _, high = part.partition("-")
    highest = int(high or low)
    if highest >= n:
        raise ConfigError(f"{text!r} names index {highest}, but there are only {n} (0-{n - 1}).")
    return set(range(int(low), highest + 1))
