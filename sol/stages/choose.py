"""Sends the fastest stacks to the gate until one is accepted or none is left."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sol.integrator.measured import MeasuredStack
from sol.stages.closer_look import look_closer
from sol.stages.edge import check_edge
from sol.stages.judge import Judged, judge
from sol.stages.request import Session
from sol.stages.search import Search
from sol.stages.trim import trim
from sol.validator.report.model import Contribution

_ROUNDS = 6
"""After so many stacks on the edge or rejected, what is left is slow or as risky."""

_WORTH_MEASURING = 0.01
"""Expected gain of a further stack once the time is up, in the logarithm of the speed-up."""

_CLEARLY_BETTER_DB = 2.0
"""Of the search's PSNR, over that of a stack which the gate rejected: a third less error. The gate
sees more than PSNR, but on one model what it sees grows with the error."""


@dataclass
class Choice:
    """What became of the stacks at the end of a search.

    Attributes:
        measured: All of them, the fastest of those that are in first.
        contributions: What each member of the stacks that were to be judged adds.
    """

    measured: tuple[MeasuredStack, ...] = ()
    judged: list[Judged] = field(default_factory=list)
    contributions: list[Contribution] = field(default_factory=list)


def choose_stack(session: Session, search: Search) -> Choice:
    """Trims the fastest stack that held, looks over its edge, and has it judged; then the next.

    What falls short or is rejected teaches the integrator what quality the gate wants; it measures
    further stacks before the next goes there.
    """
    choice, composer = Choice(), search.composer
    n_more = session.request.budget.stacks
    for _ in range(_ROUNDS):
        search.orchestrator.compose(n_more, _WORTH_MEASURING)
        best = composer.best
        if best is None or not session.gate.can_confirm:
            break
        if _is_accepted(session, search, choice, best):
            break
        n_more = max(n_more // 2, 1)
    choice.measured = _in_order(search)
    return choice


def _is_accepted(session: Session, search: Search, choice: Choice, stack: MeasuredStack) -> bool:
    composer = search.composer
    closer = look_closer(session, stack)
    shortfall = session.floor.find_shortfall(closer) if closer is not None else None
    if closer is not None and shortfall is not None and stack.quality is not None:
        reason = f"{shortfall}, over {closer.n} further prompts"
        composer.put(replace(stack, reason=reason))
        composer.demand(stack.quality.psnr + session.floor.psnr - closer.psnr)
        return False
    trimmed, contributions = trim(session, composer, stack)
    choice.contributions += contributions
    edge = check_edge(session, trimmed.candidate, composer.spaces)
    reason = edge.text if edge.has_fallen else ""
    checked = composer.put(replace(trimmed, edge=edge, reason=reason))
    if edge.has_fallen:
        composer.ban(checked.candidate)
        return False
    judged = judge(session, checked)
    choice.judged.append(judged)
    if judged.is_accepted:
        return True
    composer.ban(checked.candidate)
    if checked.quality is not None and not judged.gate.verdict.is_accepted:
        composer.demand(checked.quality.psnr + _CLEARLY_BETTER_DB)
    return False


def _in_order(search: Search) -> tuple[MeasuredStack, ...]:
    """Those that are in, the fastest first; then the others."""
    composer = search.composer
    stacks = [
        replace(stack, set_aside=composer.why_not_sent(stack)) if stack.is_eligible else stack
        for stack in composer.stacks
    ]
    return tuple(sorted(stacks, key=lambda stack: (not stack.is_eligible, -stack.speedup)))
