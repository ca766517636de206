"""How much changes from step to step, as small curves over the steps of the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from sol.validator.report.markup import Child, Markup, element, table
from sol.validator.report.model import RunReport

_WIDTH, _HEIGHT, _PAD = 360, 44, 3


def show_redundancy(report: RunReport) -> Markup:
    """A row for each recorded series: where it is low, a step is mostly in the one before."""
    rows: list[tuple[Child, ...]] = [
        (name, draw_curve(name, values), f"{min(values):.1%} to {max(values):.1%}")
        for name, values in report.redundancy.items()
        if values
    ]
    if not rows:
        return element("p", "The redundancy of the baseline was not recorded.")
    return table("Redundancy of the baseline", ("Relative change", "By step", "Range"), rows)


def draw_curve(name: str, values: Sequence[float]) -> Markup:
    """A line from the first step to the last, zero at the bottom."""
    top = max(*values, 1e-12)
    width, height = _WIDTH - 2 * _PAD, _HEIGHT - 2 * _PAD
    step = width / max(len(values) - 1, 1)
    points = " ".join(
        f"{_PAD + i * step:.1f},{_PAD + height * (1 - value / top):.1f}"
        for i, value in enumerate(values)
    )
    return element(
        "svg",
        element("polyline", points=points, fill="none", stroke="currentColor", stroke_width=2),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_label=f"{name}: {min(values):.1%} to {max(values):.1%} over {len(values)} steps",
    )
