"""Checks on one scale: how far each is from its limit, in units of what its margin allows.

Zero is the limit, negative is beyond it. One is all the room there is: no change at all for a
difference (0) or a ratio (1), a perfect score for a floor. PSNR has none: one is twice its limit.
"""

from __future__ import annotations

import math
import re

from sol.validator.report.markup import Markup, element, join
from sol.validator.verdict import Check

_WIDTH, _HEIGHT = 220, 24
_LOW, _HIGH = -0.6, 1.4
_DOT, _ARROW, _CAP = 3.5, 5.0, 5.0

_PERFECT = {"psnr": math.inf, "vmaf": 100.0, "vmaf_neg": 100.0}
"""Scores of equal videos; 1 by every other paired metric."""
_RULE = re.compile(r"(.+)_(ratio(?=_m)|floor|worst)(?:_.+)?")
"""A check's name is its metric and kind, and the kind of prompts where it is about those."""


def find_headroom(check: Check) -> float | None:
    """Of the bound: what the check was decided by. None where there is no number."""
    return None if check.bound is None else to_headroom(check, check.bound)


def to_headroom(check: Check, number: float) -> float | None:
    """Where a number stands in margins, on the good side of the limit if positive."""
    if check.margin is None or not math.isfinite(number):
        return None
    sign = 1.0 if check.rule == ">=" else -1.0
    return sign * (number - check.margin) / _margin_of(check)


def draw_headroom(check: Check) -> Markup | None:
    """Value (dot) and bound (end of the whisker) against the limit, on the common scale."""
    if check.value is None or check.bound is None:
        return None
    value, bound = to_headroom(check, check.value), to_headroom(check, check.bound)
    if value is None or bound is None:
        return None
    middle = _HEIGHT / 2
    y = {"y1": middle, "y2": middle}
    cap = {"y1": middle - _CAP, "y2": middle + _CAP}
    return element(
        "svg",
        element("title", check.detail),
        _draw_scale(),
        element("line", x1=_place(bound), x2=_place(value), **y, class_="whisker"),
        element("line", x1=_place(bound), x2=_place(bound), **cap, class_="whisker"),
        _draw_value(value, middle),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        class_=f"bar {'passed' if check.passed else 'failed'}",
        role="img",
        aria_label=f"bound {bound:+.2f} margins from the limit, value {value:+.2f}",
    )


def draw_ruler() -> Markup:
    """The scale's head: the limit, and all the room there is."""
    marks = ((0.0, "limit"), (1.0, "+1"))
    texts = (element("text", t, x=_place(at), y=12, text_anchor="middle") for at, t in marks)
    return element(
        "svg",
        *texts,
        viewBox=f"0 0 {_WIDTH} 16",
        class_="ruler",
        role="img",
        aria_label="Scale: the limit at 0, all the room there is at 1",
    )


def _margin_of(check: Check) -> float:
    """From the limit to where the baseline itself would stand."""
    assert check.margin is not None
    room = abs(check.margin - _find_reference(check.name))
    return room if 0.0 < room < math.inf else abs(check.margin) or 1.0


def _find_reference(name: str) -> float:
    found = _RULE.fullmatch(name)
    if found is None:
        return 0.0
    metric, kind = found.groups()
    return 1.0 if kind == "ratio" else _PERFECT.get(metric, 1.0)


def _place(headroom: float) -> float:
    inside = min(max(headroom, _LOW), _HIGH)
    return round(_WIDTH * (inside - _LOW) / (_HIGH - _LOW), 1)


def _draw_scale() -> Markup:
    limit, whole = _place(0.0), _place(1.0)
    return join(
        element("rect", x=0, y=0, width=limit, height=_HEIGHT, class_="forbidden"),
        element("line", x1=whole, x2=whole, y1=0, y2=_HEIGHT, class_="whole"),
        element("line", x1=limit, x2=limit, y1=0, y2=_HEIGHT, class_="limit"),
    )


def _draw_value(value: float, middle: float) -> Markup:
    """A dot, or an arrow at the edge of the scale where the value lies outside."""
    x = _place(value)
    if _LOW <= value <= _HIGH:
        at = min(max(x, _DOT), _WIDTH - _DOT)
        return element("circle", cx=at, cy=middle, r=_DOT, class_="value")
    back = _ARROW if value < _LOW else -_ARROW
    corners = ((x, middle), (x + 2 * back, middle - _ARROW), (x + 2 * back, middle + _ARROW))
    return element("polygon", points=" ".join(f"{a},{b}" for a, b in corners), class_="value")
