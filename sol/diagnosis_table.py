"""What the diagnosis says, as tables with bars: for a terminal, and as plain text elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

_BAR = 30
_EIGHTHS = "▏▎▍▌▋▊▉█"
_PLAIN = "#"


def draw_table(line: Mapping[str, Any], is_terminal: bool) -> Table | Group | None:
    """The table of a line of the journal; None for lines that have none."""
    if line["turn"] == "times":
        return _draw_times(line, is_terminal)
    return _draw_bounds(line, is_terminal) if line["turn"] == "bounds" else None


def draw_bar(share: float, is_terminal: bool) -> str:
    """As long as the share of `_BAR` columns; on a terminal to the eighth of one."""
    width = min(max(share, 0.0), 1.0) * _BAR
    if not is_terminal:
        return _PLAIN * round(width)
    whole, eighths = divmod(round(width * 8), 8)
    return _EIGHTHS[-1] * whole + (_EIGHTHS[eighths - 1] if eighths else "")


def _draw_times(line: Mapping[str, Any], is_terminal: bool) -> Table:
    seconds: Mapping[str, float] = line["seconds"]
    total = sum(seconds.values()) or 1.0
    table = _table("time of one video", "seconds", "share", "")
    for role, s in sorted(seconds.items(), key=lambda item: -item[1]):
        share = s / total
        table.add_row(Text(role), f"{s:.3f}", f"{share:.1%}", draw_bar(share, is_terminal))
    return table


def _draw_bounds(line: Mapping[str, Any], is_terminal: bool) -> Group:
    """The bar is the share of the time that would be gone."""
    table = _table("skill", "at most", "if all this were gone", "because")
    bounds: Mapping[str, float] = line["bounds"]
    for skill, bound in sorted(bounds.items(), key=lambda item: -item[1]):
        bar = draw_bar(1 - 1 / max(bound, 1.0), is_terminal)
        table.add_row(Text(skill), f"{bound:.2f}x", bar, Text(line["because"][skill]))
    return Group(table, *(Text(text) for text in _list_not_tried(line["not_tried"])))


def _list_not_tried(reasons: Mapping[str, str]) -> list[str]:
    """One line a reason."""
    ordered = sorted(reasons.items(), key=lambda item: item[1])
    return [
        f"not tried: {', '.join(name for name, _ in group)}: {reason}"
        for reason, group in groupby(ordered, key=lambda item: item[1])
    ]


def _table(*titles: str) -> Table:
    """Where there is little room, it is taken from the last column."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in titles[:-1]:
        table.add_column(title, no_wrap=True)
    table.add_column(titles[-1])
    return table
