"""What each member of the accepted stack adds: its gain as a bar, and what it costs in quality."""

from __future__ import annotations

from collections.abc import Sequence

from sol.measure.stats import Interval
from sol.validator.report.markup import Child, Markup, element, join, table
from sol.validator.report.model import Contribution
from sol.validator.report.numbers import show, show_interval
from sol.validator.report.scatter import PSNR_SHOWN_DB

_WIDTH, _HEIGHT, _PAD = 220, 22, 6
_CAP = 5


def show_contributions(contributions: Sequence[Contribution]) -> Markup | None:
    """A row for each member; None where a stack has but one, whose gain is the stack's."""
    if not contributions:
        return None
    intervals = [c.adds for c in contributions if c.adds]
    low = min([1.0, *(interval.low for interval in intervals)])
    high = max([1.0, *(interval.high for interval in intervals)])
    rows = [_row(item, (low, high)) for item in contributions]
    head = ("Left out", "Speed-up without it", "It adds", "From 1x", "PSNR without it", "Costs")
    words = (
        "Measured by leaving one member out, on calibration prompts. What members add does not "
        "multiply to the whole where they gain from the same redundancy. Inside the noise: the "
        "low end is no higher than what the baseline reads, in this run, against itself."
    )
    return join(
        element("h3", "What each member adds"),
        table("Contributions", head, rows),
        element("p", words, class_="quiet"),
    )


def _row(item: Contribution, ends: tuple[float, float]) -> tuple[Child, ...]:
    name = element("code", item.technique)
    if item.reason:
        return (name, f"not measured: {item.reason}", None, None, None, None)
    return (
        name,
        show_interval(item.speedup_without, "x"),
        show_interval(item.adds, "x"),
        join(_draw(item.adds, ends, item.is_noise) if item.adds else None, _say_noise(item)),
        show(item.psnr_without, " dB"),
        _show_cost(item),
    )


def _say_noise(item: Contribution) -> Markup | None:
    return element("span", "inside the noise", class_="badge") if item.is_noise else None


def _show_cost(item: Contribution) -> str | None:
    if item.psnr_without is None or item.psnr_with is None:
        return None
    if item.psnr_without >= PSNR_SHOWN_DB:
        return "nothing" if item.psnr_with >= PSNR_SHOWN_DB else "all that is lost"
    return f"{round(item.psnr_without - item.psnr_with, 2) + 0.0:.2f} dB"


def _draw(adds: Interval, ends: tuple[float, float], is_noise: bool) -> Markup:
    """A bar from 1x to what it adds, with the interval as a whisker."""
    low, high = ends
    scale = (_WIDTH - 2 * _PAD) / ((high - low) or 1.0)
    one, at, start, end = (
        round(_PAD + (value - low) * scale, 1) for value in (1.0, adds.median, adds.low, adds.high)
    )
    middle = _HEIGHT / 2
    width = round(abs(at - one), 1)
    cap = {"y1": middle - _CAP, "y2": middle + _CAP}
    return element(
        "svg",
        element("rect", x=min(one, at), y=4, width=width, height=_HEIGHT - 8, class_="gain"),
        element("line", x1=start, x2=end, y1=middle, y2=middle, class_="whisker"),
        *(element("line", x1=x, x2=x, **cap, class_="whisker") for x in (start, end)),
        element("line", x1=one, x2=one, y1=0, y2=_HEIGHT, class_="base"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        class_=f"bar{' noise' if is_noise else ''}",
        role="img",
        aria_label=f"adds {adds.median:.3g}x, {adds.low:.3g} to {adds.high:.3g}",
    )
