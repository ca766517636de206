"""What each member adds to a stack: its gain as a bar, and what it costs in quality."""

from __future__ import annotations

from collections.abc import Sequence

from sol.measure.stats import Interval
from sol.validator.report.markup import Child, Markup, badge, element, join, table
from sol.validator.report.model import Contribution
from sol.validator.report.numbers import PSNR_SHOWN_DB, show, show_interval

_WIDTH, _HEIGHT, _PAD = 220, 22, 6
_CAP = 5
_HEAD = (
    "Member",
    "Speed-up with it",
    "Without it",
    "It adds",
    "From 1x",
    "PSNR with it",
    "Without it",
    "Costs",
    "So it",
)


def show_contributions(contributions: Sequence[Contribution]) -> Markup | None:
    """A table for each stack that was taken apart; None where none was."""
    if not contributions:
        return None
    intervals = [c.adds for c in contributions if c.adds]
    low = min([1.0, *(interval.low for interval in intervals)])
    high = max([1.0, *(interval.high for interval in intervals)])
    by_stack: dict[str, list[Contribution]] = {}
    for item in contributions:
        by_stack.setdefault(item.stack, []).append(item)
    words = (
        "Measured by leaving one member out, on calibration prompts. What members add does not "
        "multiply to the whole where they gain from the same redundancy. Inside the noise: the "
        "low end is no higher than what the baseline reads, in this run, against itself. What "
        "follows the removal of a member is measured without it."
    )
    return join(
        *(_show_stack(stack, items, (low, high)) for stack, items in by_stack.items()),
        element("p", words, class_="quiet"),
    )


def _show_stack(
    stack: str, contributions: Sequence[Contribution], ends: tuple[float, float]
) -> Markup:
    rows = [_row(item, ends) for item in contributions]
    name = f"Contributions to {stack}" if stack else "Contributions"
    return join(element("h3", stack) if stack else None, table(name, _HEAD, rows))


def _row(item: Contribution, ends: tuple[float, float]) -> tuple[Child, ...]:
    name = element("code", item.technique)
    if item.adds is None and not item.removed:
        return (name, *(None,) * (len(_HEAD) - 2), f"not measured: {item.reason}")
    return (
        name,
        show_interval(item.speedup_with, "x"),
        show_interval(item.speedup_without, "x"),
        show_interval(item.adds, "x"),
        join(_draw(item.adds, ends, item.is_noise) if item.adds else None, _say_noise(item)),
        show(item.psnr_with, " dB"),
        show(item.psnr_without, " dB"),
        _show_cost(item),
        _tell(item),
    )


def _tell(item: Contribution) -> Child:
    if item.removed:
        return join(badge(False, "removed"), f" {item.reason}" if item.reason else None)
    return "stays"


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
