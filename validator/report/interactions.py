"""What pairs of techniques do to one another, in speed and in quality."""

from __future__ import annotations

from sol.validator.report.markup import Child, Markup, element, join, table
from sol.validator.report.model import Interaction, RunReport
from sol.validator.report.numbers import NONE


def show_interactions(report: RunReport) -> Markup | None:
    """A row for each measured pair, the strongest in speed first; None where there is none."""
    if not report.interactions:
        return None
    words = (
        "In speed: what is measured over what the two alone predict, so that less than 1 is gain "
        "that they share. In quality: PSNR above (+) or below (-) what the two alone predict."
    )
    ordered = sorted(report.interactions, key=_strength, reverse=True)
    head = ("Pair", "In speed, a factor", "In quality", "Stacks")
    return join(
        table("Interactions", head, [_row(pair) for pair in ordered]),
        element("p", words, class_="quiet"),
    )


def _strength(pair: Interaction) -> float:
    factor = pair.speed_factor
    return max(factor, 1 / factor) if factor > 0 else float("inf")


def _row(pair: Interaction) -> tuple[Child, ...]:
    both = join(element("code", pair.first), " + ", element("code", pair.second))
    return (
        both,
        join(f"{pair.speed_factor:.3f} ({pair.low:.3f} to {pair.high:.3f})", _say_clear(pair)),
        _show_shift(pair.psnr_shift_db),
        str(pair.n),
    )


def _say_clear(pair: Interaction) -> Markup | None:
    """Whether the interval leaves out 1."""
    if pair.low <= 1 <= pair.high:
        return None
    word = "slower together" if pair.high < 1 else "faster together"
    return join(" ", element("span", word, class_="badge"))


def _show_shift(shift: float | None) -> str:
    if shift is None:
        return NONE
    return f"{round(shift, 2) + 0.0:+.2f} dB"
