"""Where the baseline's time goes, what each skill could save of it, and what was not tried."""

from __future__ import annotations

from collections.abc import Sequence

from sol.validator.report.markup import Child, Markup, element, join, table
from sol.validator.report.model import NotTried, RunReport, SkillBound, TimeShare
from sol.validator.report.numbers import show

_WIDTH, _HEIGHT = 220, 22
_HELD = "measured"


def show_time_shares(report: RunReport) -> Markup | None:
    """None where nothing of it is known."""
    if not (report.time_shares or report.bounds or report.not_tried):
        return None
    return join(
        _show_shares(report.time_shares),
        _show_bounds(report),
        _show_not_tried(report.not_tried),
    )


def _show_shares(shares: Sequence[TimeShare]) -> Markup | None:
    """The longest first."""
    total = sum(share.seconds for share in shares)
    if total <= 0:
        return None
    ordered = sorted(shares, key=lambda share: -share.seconds)
    rows: list[tuple[Child, ...]] = [
        (
            share.role,
            show(share.seconds, " s"),
            f"{share.seconds / total:.1%}",
            _draw_bar(share.seconds / total, f"{share.role}: {share.seconds / total:.1%}"),
        )
        for share in ordered
    ]
    head = ("Role", "Seconds of one baseline video", "Share", f"Of {total:.3g} s")
    return table("Where the time goes", head, rows)


def _show_bounds(report: RunReport) -> Markup | None:
    if not report.bounds:
        return None
    words = (
        "If what a skill works on cost nothing, a video could not be faster than this. The bar is "
        "the share of the time that would be gone; the line in it is what the skill's fastest "
        "kept setting saved."
    )
    head = ("Skill", "At most", "Reached", "Time that it could save", "Because")
    ordered = sorted(report.bounds, key=lambda bound: -bound.bound)
    return join(
        element("h3", "What each skill could gain at most"),
        table("Bounds", head, [_row(bound, _find_best(report, bound)) for bound in ordered]),
        element("p", words, class_="quiet"),
    )


def _row(bound: SkillBound, best: float | None) -> tuple[Child, ...]:
    saved = 1 - 1 / bound.bound if bound.bound > 1 else 0.0
    reached = 1 - 1 / best if best and best > 1 else None
    return (
        bound.skill,
        show(bound.bound, "x"),
        show(best, "x"),
        _draw_bar(saved, f"{bound.skill}: at most {saved:.0%} of the time", reached),
        bound.argument,
    )


def _find_best(report: RunReport, bound: SkillBound) -> float | None:
    """Of the settings that held quality."""
    speeds = [
        point.speedup
        for point in report.frontier
        if point.skill == bound.skill and point.speedup is not None and point.status == _HELD
    ]
    return max(speeds, default=None)


def _show_not_tried(not_tried: Sequence[NotTried]) -> Markup | None:
    if not not_tried:
        return None
    rows: list[tuple[Child, ...]] = [
        (element("code", item.technique), item.reason) for item in not_tried
    ]
    return join(
        element("h3", "Not tried"),
        table("Not tried", ("Technique", "Why"), rows),
    )


def _draw_bar(share: float, label: str, mark: float | None = None) -> Markup:
    """Of the whole width; the mark is another share on the same scale."""
    y = {"y": 4, "height": _HEIGHT - 8}
    return element(
        "svg",
        element("rect", x=0, width=_WIDTH, **y, class_="room"),
        element("rect", x=0, width=round(share * _WIDTH, 1), **y, class_="gain"),
        None if mark is None else _draw_mark(round(mark * _WIDTH, 1)),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        class_="bar",
        role="img",
        aria_label=label,
    )


def _draw_mark(x: float) -> Markup:
    return element("line", x1=x, x2=x, y1=0, y2=_HEIGHT, class_="whisker")
