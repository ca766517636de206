"""The frontier as an inline SVG scatter: speed-up against PSNR, one colour and shape per skill."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sol.validator.report.markup import Markup, element, join, scroll
from sol.validator.report.model import Point, RunReport

STACK = "stack"
PSNR_SHOWN_DB = 60.0
"""Points above it sit on the top edge: identical videos would squash all others."""

_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 52
_SIZE = 6.0
_N_TICKS = 5
_SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    ((0, -1.2), (1.2, 0.9), (-1.2, 0.9)),
    ((0, 1.2), (1.2, -0.9), (-1.2, -0.9)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((-1.2, 0), (-0.6, -1.1), (0.6, -1.1), (1.2, 0), (0.6, 1.1), (-0.6, 1.1)),
)
_STAR = tuple(
    (radius * math.sin(k * math.pi / 5), -radius * math.cos(k * math.pi / 5))
    for k, radius in enumerate((1.7, 0.7) * 5)
)


@dataclass(frozen=True)
class _Axis:
    """Maps [low, high] to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        share = (min(value, self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def draw_frontier(report: RunReport) -> Markup:
    """The scatter with its legend, or a sentence where nothing was measured."""
    points = [p for p in (*report.frontier, *_stack_points(report)) if _is_drawable(p)]
    if not points:
        return element("p", "No setting was measured in both speed and quality.")
    x, y = _axes(points)
    series = sorted({point.skill for point in points} - {STACK})
    marks = (_draw_mark(point, series, x.place, y.place) for point in _winner_last(points))
    picture = element(
        "svg",
        _draw_axes(x, y),
        *marks,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label="Speed-up against PSNR of every measured setting and stack",
        class_="scatter",
    )
    return join(scroll("Speed against fidelity", picture), _draw_legend(series, points))


def _stack_points(report: RunReport) -> list[Point]:
    return [
        Point(
            skill=STACK,
            technique=" + ".join(str(member.get("technique", "?")) for member in stack.members),
            label=stack.label,
            speedup=stack.speedup.median if stack.speedup else None,
            psnr=stack.psnr,
            status=stack.status,
            reason=stack.reason,
            in_winner=index == report.winner,
        )
        for index, stack in enumerate(report.stacks)
    ]


def _is_drawable(point: Point) -> bool:
    numbers = (point.speedup, point.psnr)
    return all(number is not None and math.isfinite(number) for number in numbers)


def _winner_last(points: list[Point]) -> list[Point]:
    return sorted(points, key=lambda point: (point.in_winner, point.skill == STACK))


def _axes(points: list[Point]) -> tuple[_Axis, _Axis]:
    speedups = [1.0, *(point.speedup for point in points if point.speedup is not None)]
    levels = [min(point.psnr, PSNR_SHOWN_DB) for point in points if point.psnr is not None]
    x_low, x_high = _padded(min(speedups), max(speedups), least=0.2)
    y_low, y_high = _padded(min(levels), max(levels), least=4.0)
    return (
        _Axis(x_low, x_high, _LEFT, _WIDTH - _RIGHT),
        _Axis(y_low, y_high, _HEIGHT - _BOTTOM, _TOP),
    )


def _padded(low: float, high: float, least: float) -> tuple[float, float]:
    pad = 0.08 * max(high - low, least)
    middle, half = (low + high) / 2, max(high - low, least) / 2
    return middle - half - pad, middle + half + pad


def find_ticks(low: float, high: float) -> tuple[float, ...]:
    """About five round numbers inside [low, high]."""
    raw = (high - low) / _N_TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step), math.floor(high / step)
    return tuple(round(k * step, 10) for k in range(first, last + 1))


def _draw_axes(x: _Axis, y: _Axis) -> Markup:
    bottom, middle = _HEIGHT - _BOTTOM, (_TOP + _HEIGHT - _BOTTOM) / 2
    return join(
        *(
            join(
                element("line", x1=x.place(t), x2=x.place(t), y1=_TOP, y2=bottom, class_="grid"),
                element("text", f"{t:g}x", x=x.place(t), y=bottom + 18, text_anchor="middle"),
            )
            for t in find_ticks(x.low, x.high)
        ),
        *(
            join(
                element(
                    "line",
                    x1=_LEFT,
                    x2=_WIDTH - _RIGHT,
                    y1=y.place(t),
                    y2=y.place(t),
                    class_="grid",
                ),
                element("text", _psnr_tick(t), x=_LEFT - 8, y=y.place(t) + 4, text_anchor="end"),
            )
            for t in find_ticks(y.low, min(y.high, PSNR_SHOWN_DB))
        ),
        element("line", x1=x.place(1), x2=x.place(1), y1=_TOP, y2=bottom, class_="base"),
        element(
            "text",
            "speed-up over the baseline (faster →)",
            x=(_LEFT + _WIDTH - _RIGHT) / 2,
            y=_HEIGHT - 10,
            text_anchor="middle",
            class_="axis",
        ),
        element(
            "text",
            "PSNR to the baseline, dB (closer →)",
            transform=f"translate(16 {middle}) rotate(-90)",
            text_anchor="middle",
            class_="axis",
        ),
    )


def _psnr_tick(level: float) -> str:
    return f"≥ {level:g}" if level >= PSNR_SHOWN_DB else f"{level:g}"


def _draw_mark(
    point: Point, series: list[str], x: Callable[[float], float], y: Callable[[float], float]
) -> Markup:
    assert point.speedup is not None
    assert point.psnr is not None
    level = min(point.psnr, PSNR_SHOWN_DB)
    title = (
        f"{point.skill}: {point.label}\n{point.speedup:.3g}x, {point.psnr:.4g} dB, {point.status}"
    )
    return element(
        "g",
        element("title", f"{title}\n{point.reason}" if point.reason else title),
        _draw_shape(point.skill, series),
        transform=f"translate({x(point.speedup)} {y(level)})",
        class_=f"mark{' chosen' if point.in_winner else ''}",
    )


def _draw_shape(skill: str, series: list[str]) -> Markup:
    index = series.index(skill) if skill in series else None
    corners = _STAR if index is None else _SHAPES[index % len(_SHAPES)]
    path = " ".join(f"{_SIZE * dx:.1f},{_SIZE * dy:.1f}" for dx, dy in corners)
    colour = "stack" if index is None else f"series{index % len(_SHAPES)}"
    return element("polygon", points=path, class_=colour)


def _draw_legend(series: list[str], points: list[Point]) -> Markup:
    has_stacks = any(point.skill == STACK for point in points)
    entries = [*series, *([STACK] if has_stacks else [])]
    items = [
        element("li", _draw_swatch(name, series), "composed stack" if name == STACK else name)
        for name in entries
    ]
    if any(point.in_winner for point in points):
        items.append(
            element("li", element("span", class_="ring"), "accepted stack and its members")
        )
    return element("ul", *items, class_="legend")


def _draw_swatch(skill: str, series: list[str]) -> Markup:
    return element(
        "svg",
        _draw_shape(skill, series),
        viewBox="-11 -11 22 22",
        class_="swatch",
        aria_hidden="true",
    )
