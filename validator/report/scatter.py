"""The frontier as an inline SVG scatter: speed-up against PSNR, one colour and shape per skill."""

from __future__ import annotations

import math

from sol.validator.report.axes import Axis, draw_axes, pad
from sol.validator.report.markup import Markup, element, join, scroll
from sol.validator.report.model import Point, RunReport
from sol.validator.report.numbers import PSNR_SHOWN_DB
from sol.validator.report.stack import StackReport

STACK = "stack"

_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 52
_SIZE = 6.0
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


def draw_frontier(report: RunReport) -> Markup:
    """The scatter with its legend, or a sentence where nothing was measured."""
    points = [p for p in (*report.frontier, *_stack_points(report)) if _is_drawable(p)]
    if not points:
        return element("p", "No setting was measured in both speed and quality.")
    x, y = _axes(points)
    series = sorted({point.skill for point in points} - {STACK})
    marks = (_draw_mark(point, series, x, y) for point in _winner_last(points))
    picture = element(
        "svg",
        draw_axes(x, y),
        _draw_one(x, y),
        _draw_pareto_line(report, x, y),
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
            speedup=speed.median if (speed := stack.compared_speedup) else None,
            psnr=stack.psnr,
            status=stack.status,
            reason=stack.reason,
            in_winner=index == report.winner,
        )
        for index, stack in enumerate(report.stacks)
        if not _is_drawn_as_setting(stack, report)
    ]


def _is_drawn_as_setting(stack: StackReport, report: RunReport) -> bool:
    """A stack of one member is a setting that an agent measured."""
    return len(stack.members) == 1 and any(p.label == stack.label for p in report.frontier)


def _is_drawable(point: Point) -> bool:
    numbers = (point.speedup, point.psnr)
    return all(number is not None and math.isfinite(number) for number in numbers)


def _winner_last(points: list[Point]) -> list[Point]:
    return sorted(points, key=lambda point: (point.in_winner, point.skill == STACK))


def _axes(points: list[Point]) -> tuple[Axis, Axis]:
    speedups = [1.0, *(point.speedup for point in points if point.speedup is not None)]
    levels = [min(point.psnr, PSNR_SHOWN_DB) for point in points if point.psnr is not None]
    x = Axis(
        *pad(min(speedups), max(speedups), least=0.2),
        start=_LEFT,
        end=_WIDTH - _RIGHT,
        title="speed-up over the baseline (faster →)",
        label="{:g}x".format,
    )
    y = Axis(
        *pad(min(levels), max(levels), least=4.0),
        start=_HEIGHT - _BOTTOM,
        end=_TOP,
        title="PSNR to the baseline, dB (closer →)",
        label=_psnr_tick,
        last_tick=PSNR_SHOWN_DB,
    )
    return x, y


def _draw_one(x: Axis, y: Axis) -> Markup:
    """Where a stack would be that is as fast as the baseline."""
    return element("line", x1=x.place(1), x2=x.place(1), y1=y.start, y2=y.end, class_="base")


def _draw_pareto_line(report: RunReport, x: Axis, y: Axis) -> Markup | None:
    """What is left of it and below is beaten by a stack in both."""
    points = [report.stacks[index].speed_and_quality for index in report.pareto_set]
    corners = [
        (x.place(speed), y.place(min(psnr, PSNR_SHOWN_DB))) for speed, psnr in filter(None, points)
    ]
    if not corners:
        return None
    steps = "".join(f"V{down}H{right}" for right, down in corners)
    return element(
        "path",
        element("title", "The Pareto set: no measured stack is beyond this line"),
        d=f"M{x.start} {corners[0][1]}{steps}V{y.start}",
        class_="pareto-line",
    )


def _psnr_tick(level: float) -> str:
    return f"≥ {level:g}" if level >= PSNR_SHOWN_DB else f"{level:g}"


def _draw_mark(point: Point, series: list[str], x: Axis, y: Axis) -> Markup:
    assert point.speedup is not None
    assert point.psnr is not None
    title = (
        f"{point.skill}: {point.label}\n{point.speedup:.3g}x, {point.psnr:.4g} dB, {point.status}"
    )
    return element(
        "g",
        element("title", f"{title}\n{point.reason}" if point.reason else title),
        _draw_shape(point.skill, series),
        transform=f"translate({x.place(point.speedup)} {y.place(min(point.psnr, PSNR_SHOWN_DB))})",
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
    if has_stacks:
        items.append(element("li", _draw_line_swatch(), "Pareto set of the stacks"))
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


def _draw_line_swatch() -> Markup:
    line = element("path", d="M-9 -6H3V7H9", class_="pareto-line")
    return element("svg", line, viewBox="-11 -11 22 22", class_="swatch", aria_hidden="true")
