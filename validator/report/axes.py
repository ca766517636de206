"""Axes of inline SVG plots: where a value lies, round ticks, and the grid with its labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sol.validator.report.markup import Markup, element, join

_N_TICKS = 5
_DECADES_FROM = 8.0
"""From this ratio of its ends on a logarithmic axis has the ticks 1, 2, 5, 10, ..."""
_LABEL_BELOW, _LABEL_BESIDE = 18, 8
_TITLE_BELOW, _TITLE_BESIDE = 42, 48


@dataclass(frozen=True)
class Axis:
    """Maps [low, high] to pixels from `start` to `end`; what lies outside is put on the edge.

    Attributes:
        label: Of a tick.
        is_log: Whether equal ratios, not equal differences, are equally far apart.
        last_tick: No tick is beyond it.
    """

    low: float
    high: float
    start: float
    end: float
    title: str
    label: Callable[[float], str]
    is_log: bool = False
    last_tick: float = math.inf

    def place(self, value: float) -> float:
        """The pixel of a value."""
        inside = min(max(value, self.low), self.high)
        if self.is_log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Round numbers that the grid is drawn at."""
        high = min(self.high, self.last_tick)
        if self.is_log and self.high / self.low >= _DECADES_FROM:
            return find_decade_ticks(self.low, high)
        return find_ticks(self.low, high)


def pad(low: float, high: float, least: float) -> tuple[float, float]:
    """The range with a margin on both sides, widened about its middle to at least `least`."""
    margin = 0.08 * max(high - low, least)
    middle, half = (low + high) / 2, max(high - low, least) / 2
    return middle - half - margin, middle + half + margin


def pad_ratio(low: float, high: float, least: float) -> tuple[float, float]:
    """The same for a logarithmic axis, whose ends are to be at least the ratio `least` apart."""
    ends = pad(math.log(low), math.log(high), math.log(least))
    return math.exp(ends[0]), math.exp(ends[1])


def find_ticks(low: float, high: float) -> tuple[float, ...]:
    """About five round numbers inside [low, high]."""
    raw = (high - low) / _N_TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step), math.floor(high / step)
    return tuple(round(k * step, 10) for k in range(first, last + 1))


def find_decade_ticks(low: float, high: float) -> tuple[float, ...]:
    """One, two and five times the powers of ten inside [low, high]."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = (round(factor * 10.0**k, 10) for k in powers for factor in (1, 2, 5))
    return tuple(number for number in numbers if low <= number <= high)


def draw_axes(x: Axis, y: Axis) -> Markup:
    """Grid, labels of the ticks, and titles; `y` runs from the bottom to the top."""
    return join(
        *(_draw_column(x, y, tick) for tick in x.ticks),
        *(_draw_row(x, y, tick) for tick in y.ticks),
        element(
            "text",
            x.title,
            x=(x.start + x.end) / 2,
            y=y.start + _TITLE_BELOW,
            text_anchor="middle",
            class_="axis",
        ),
        element(
            "text",
            y.title,
            transform=f"translate({x.start - _TITLE_BESIDE} {(y.start + y.end) / 2}) rotate(-90)",
            text_anchor="middle",
            class_="axis",
        ),
    )


def _draw_column(x: Axis, y: Axis, tick: float) -> Markup:
    at = x.place(tick)
    return join(
        element("line", x1=at, x2=at, y1=y.start, y2=y.end, class_="grid"),
        element("text", x.label(tick), x=at, y=y.start + _LABEL_BELOW, text_anchor="middle"),
    )


def _draw_row(x: Axis, y: Axis, tick: float) -> Markup:
    at = y.place(tick)
    return join(
        element("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="grid"),
        element("text", y.label(tick), x=x.start - _LABEL_BESIDE, y=at + 4, text_anchor="end"),
    )
