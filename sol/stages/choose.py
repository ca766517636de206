"""Composes, measures and judges, round by round, until a stack is accepted or none is left."""

from __future__ import annotations

from collections.abc import Mapping

from sol.integrator.compose import choose_diverse, compose
from sol.search.orchestrator import AgentRecord
from sol.search.records import FrontierPoint
from sol.skills.registry import TECHNIQUES
from sol.stages.judge import Judged, contains_rejected_loss, judge
from sol.stages.request import Session
from sol.stages.stacks import MeasuredStack, measure_stacks

_ROUNDS = 3
"""After three rounds of rejected stacks, what is left is slow or as risky as what failed."""


def choose_stack(
    session: Session, agents: Mapping[str, AgentRecord]
) -> tuple[tuple[MeasuredStack, ...], tuple[Judged, ...]]:
    """Every stack that was measured, and every one that was at the gate."""
    frontiers = {skill: _gaining(record.frontier) for skill, record in agents.items()}
    left = compose(frontiers, TECHNIQUES, session.floor.psnr)
    session.journal.write("integrator", "compose", admissible=len(left))
    measured: list[MeasuredStack] = []
    judged: list[Judged] = []
    for _ in range(_ROUNDS):
        chosen = choose_diverse(left, session.request.budget.stacks)
        if not chosen:
            break
        fresh = measure_stacks(session, chosen)
        measured += fresh
        judged += judge(session, fresh)
        if judged and judged[-1].is_accepted:
            break
        left = tuple(
            candidate
            for candidate in left
            if candidate not in chosen and not contains_rejected_loss(candidate.stack, judged)
        )
    return tuple(measured), tuple(judged)


def _gaining(points: tuple[FrontierPoint, ...]) -> tuple[FrontierPoint, ...]:
    return tuple(point for point in points if point.speed.median > 1.0)
