"""All measured stacks in one table, and what became of those that were fit for the gate."""

from __future__ import annotations

from collections.abc import Sequence, Set

from sol.validator.report.markup import Child, Markup, badge, element, join, table
from sol.validator.report.model import RunReport
from sol.validator.report.numbers import NONE, show, show_interval
from sol.validator.report.stack import StackReport

_AT_GATE = {"accepted": True, "rejected": False}
_HEAD = (
    "Stack",
    "Speed-up",
    "Predicted",
    "PSNR",
    "PSNR predicted",
    "Pareto set",
    "Status",
    "Reason",
)
_MOST_SHOWN = 16
"""Of more stacks, those alone are not folded that are in the Pareto set or went to the gate."""


def show_stacks(report: RunReport) -> Markup:
    """What was fit for the gate, in order; then what was measured of each stack."""
    if not report.stacks:
        return element("p", "No stack was measured.")
    best = {id(report.stacks[i]) for i in report.pareto_set}
    stacks = sorted(report.stacks, key=_slowness)
    chosen = [s for s in stacks if id(s) in best or s.verdict or s.edge]
    words = (
        "Speed-up and PSNR are those of the composition, on calibration prompts. In the Pareto "
        "set: no other measured stack is at least as good in both and better in one."
    )
    return join(
        _list_candidates(report),
        element("h3", "Measured, the fastest first"),
        _show_table("Measured stacks", chosen if len(stacks) > _MOST_SHOWN else stacks, best),
        element("p", words, class_="quiet"),
        _fold(stacks, best) if len(stacks) > _MOST_SHOWN else None,
    )


def _fold(stacks: Sequence[StackReport], best: Set[int]) -> Markup:
    title = f"All {len(stacks)} measured stacks"
    return element("details", element("summary", title), _show_table(title, stacks, best))


def _show_table(name: str, stacks: Sequence[StackReport], best: Set[int]) -> Markup:
    rows = [_row(stack, id(stack) in best) for stack in stacks]
    return table(name, _HEAD, rows, class_="labelled")


def _slowness(stack: StackReport) -> float:
    speed = stack.compared_speedup
    return -speed.median if speed else 0.0


def _row(stack: StackReport, is_best: bool) -> tuple[Child, ...]:
    return (
        stack.label,
        show_interval(stack.compared_speedup, "x"),
        _show_prediction(stack),
        show(stack.psnr, " dB"),
        show(stack.predicted_psnr, " dB") if stack.is_prediction else NONE,
        "★ in the set" if is_best else None,
        _show_status(stack),
        stack.reason,
    )


def _show_prediction(stack: StackReport) -> str:
    """A dash where the number had been measured before."""
    if not stack.is_prediction:
        return NONE
    number = show(stack.predicted_speedup, "x")
    if stack.predicted_low is None or stack.predicted_high is None:
        return number
    return f"{number} ({stack.predicted_low:.3g} to {stack.predicted_high:.3g})"


def _show_status(stack: StackReport) -> Markup:
    if stack.status in _AT_GATE:
        return badge(_AT_GATE[stack.status], stack.status)
    return element("span", stack.status, class_="badge")


def _list_candidates(report: RunReport) -> Markup:
    title = element("h3", "Candidates for the gate, the fastest first")
    fit = [stack for stack in report.stacks if _was_fit(stack)]
    if not fit:
        return join(title, element("p", "No measured stack was fit for the gate."))
    winner = report.winning_stack
    told = [stack for stack in fit if _came_near(stack) or not _is_slower(stack, winner)]
    items = (_describe(stack, winner) for stack in sorted(told, key=_slowness))
    n_slower = len(fit) - len(told)
    rest = f"Close enough as well, but no faster than the recipe: {n_slower} more."
    return join(title, element("ol", *items), element("p", rest) if n_slower else None)


def _came_near(stack: StackReport) -> bool:
    return stack.status in _AT_GATE or bool(stack.edge)


def _is_slower(stack: StackReport, winner: StackReport | None) -> bool:
    return winner is not None and _slowness(stack) >= _slowness(winner)


def _was_fit(stack: StackReport) -> bool:
    """Faster than the baseline and close enough as measured, whatever was found of it later."""
    if stack.compared_speedup is None or stack.compared_speedup.median <= 1.0:
        return False
    return stack.status == "measured" or _came_near(stack)


def _describe(stack: StackReport, winner: StackReport | None) -> Markup:
    numbers = f" {show(-_slowness(stack), 'x')}, {show(stack.psnr, ' dB')}: "
    return element("li", element("b", stack.label), numbers, _tell(stack, winner))


def _tell(stack: StackReport, winner: StackReport | None) -> str:
    """What became of it."""
    if stack.status == "accepted":
        return "accepted, the recipe" if stack is winner else "accepted, but not the fastest"
    if stack.status == "rejected":
        reasons = stack.verdict.reasons if stack.verdict else ()
        return f"rejected: {'; '.join(reasons) or stack.reason}"
    why = stack.reason or stack.set_aside
    return f"not sent: {why}" if why else "not sent"
