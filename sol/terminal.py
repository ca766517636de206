"""How results look on a terminal. Only `sol.cli` uses it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sol.tune import TuneResult
    from sol.validator.verdict import Check


_PIPED_WIDTH = 240
"""Columns where there is no terminal to ask: wide enough for one line a row."""


def print_line(text: str) -> None:
    """One line on stdout, as it is."""
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def print_error(text: str) -> None:
    """One line on stderr, as it is."""
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)


def print_progress(text: str) -> None:
    """One line on stderr, where results are not looked for."""
    print_error(text.rstrip())


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    print_line(json.dumps(data, indent=2, default=str))


def print_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns without borders, so that they can be cut and pasted."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in titles[:-1]:
        table.add_column(title, no_wrap=True)
    table.add_column(titles[-1])
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    console.print(table, markup=False)


def print_checks(checks: Sequence[Check]) -> None:
    """The gate's checks, a row each."""
    rows = [
        (
            check.name,
            "pass" if check.passed else "FAIL",
            _number(check.value),
            _number(check.bound),
            _number(check.margin),
            str(check.n),
            check.detail,
        )
        for check in checks
    ]
    print_table(("check", "", "value", "bound", "margin", "n", "detail"), rows)


def print_tune_result(result: TuneResult) -> None:
    """What came out, and where it is."""
    winner = result.winner
    if winner is None or winner.numbers is None:
        reasons = [stack.reason for stack in result.judged] or ["no stack was faster"]
        print_line(f"Nothing was accepted: {reasons[-1]}")
    else:
        speed = winner.numbers.speed
        print_line(
            f"Accepted: {speed.median:.2f}x [{speed.low:.2f}, {speed.high:.2f}] end to end, "
            f"n={speed.n} pairs, by the {winner.gate.verdict.label} gate"
        )
        print_line(f"  {winner.measured.candidate.label}")
        print_line(f"Recipe: {result.recipe}")
    print_line(f"Report: {result.report}")
    print_line(f"Took {result.seconds:.0f} s.")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
