"""A check as a picture: the bound against the margin, the forbidden side shaded."""

from __future__ import annotations

from sol.validator.report.markup import Markup, element
from sol.validator.verdict import Check

_WIDTH, _HEIGHT = 180, 22
_PAD_SHARE = 0.25


def draw_bar(check: Check) -> Markup | None:
    """Value (dot), bound (end of the whisker) and margin (line); None where one is missing."""
    if check.value is None or check.bound is None or check.margin is None:
        return None
    numbers = (check.value, check.bound, check.margin)
    spread = (max(numbers) - min(numbers)) or 1.0
    low = min(numbers) - _PAD_SHARE * spread
    scale = _WIDTH / (spread * (1 + 2 * _PAD_SHARE))
    value, bound, margin = (round((number - low) * scale, 1) for number in numbers)
    start, width = (0.0, margin) if check.rule == ">=" else (margin, _WIDTH - margin)
    middle = _HEIGHT / 2
    return element(
        "svg",
        element("title", check.detail),
        element("rect", x=start, y=0, width=round(width, 1), height=_HEIGHT, class_="forbidden"),
        element("line", x1=margin, x2=margin, y1=0, y2=_HEIGHT, class_="limit"),
        element("line", x1=bound, x2=value, y1=middle, y2=middle, class_="whisker"),
        element("line", x1=bound, x2=bound, y1=middle - 5, y2=middle + 5, class_="whisker"),
        element("circle", cx=value, cy=middle, r=3.5, class_="value"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        class_=f"bar {'passed' if check.passed else 'failed'}",
        role="img",
        aria_label=f"bound {check.bound:.4g}, margin {check.margin:.4g}",
    )
