"""Composes, measures and judges, round by round, until nothing left should be faster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sol.integrator.compose import Candidate, choose_diverse, compose
from sol.search.orchestrator import AgentRecord
from sol.search.records import FrontierPoint
from sol.skills.registry import TECHNIQUES
from sol.space import Space
from sol.stages.edge import check_edge
from sol.stages.judge import (
    Judged,
    contains_loss_of,
    contains_rejected_loss,
    find_winner,
    judge,
)
from sol.stages.request import Session
from sol.stages.stacks import MeasuredStack, measure_stacks
from sol.technique import Stack

_ROUNDS = 4
"""After four rounds of rejected stacks, what is left is slow or as risky as what failed."""

_CLEARLY_BETTER_DB = 2.0
"""Of the search's PSNR, over that of a stack which the gate rejected: a third less error. The gate
sees more than PSNR, but on one model what it sees grows with the error."""


@dataclass
class _Choice:
    """What became of the stacks so far."""

    session: Session
    spaces: Mapping[str, Space]
    measured: list[MeasuredStack] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)

    @property
    def speed_to_beat(self) -> float:
        """Of the fastest stack that was accepted; 1 while there is none."""
        best = find_winner(self.judged)
        return best.measured.speed.median if best and best.measured.speed else 1.0

    def is_hopeless(self, stack: Stack) -> bool:
        """Whether it has all the loss of a stack that the gate rejected or that is on the edge."""
        fallen = (s.candidate.stack for s in self.measured if s.edge and s.edge.has_fallen)
        return contains_loss_of(stack, fallen) or contains_rejected_loss(stack, self.judged)

    def is_promising(self, psnr: float) -> bool:
        """Whether this PSNR, in dB, is clearly above that of everything the gate rejected."""
        rejected = (j.measured.quality for j in self.judged if not j.gate.verdict.is_accepted)
        worst = max((quality.psnr for quality in rejected if quality), default=-math.inf)
        return psnr >= worst + _CLEARLY_BETTER_DB

    def is_worth_judging(self, stack: MeasuredStack) -> bool:
        """Whether it may go to the gate, has a chance there, and would win."""
        if not self.session.gate.can_confirm:
            return False
        if not stack.is_eligible or stack.quality is None or stack.speed is None:
            return False
        return (
            stack.speed.median > self.speed_to_beat
            and self.is_promising(stack.quality.psnr)
            and not self.is_hopeless(stack.candidate.stack)
        )

    def is_worth_measuring(self, candidate: Candidate) -> bool:
        """Whether it should beat what was accepted, and has a chance at the gate.

        Once a stack is accepted, a prediction that multiplies overlapping gains is no reason.
        """
        if self.speed_to_beat > 1 and candidate.n_overlaps:
            return False
        return (
            candidate.predicted_speedup > self.speed_to_beat
            and self.is_promising(candidate.predicted_psnr)
            and not self.is_hopeless(candidate.stack)
        )

    def take(self, stack: MeasuredStack) -> None:
        """Looks over the edge, then sends to the gate, what is still worth it."""
        if self.is_worth_judging(stack):
            stack = _look_over_the_edge(self.session, stack, self.spaces)
            if stack.is_eligible:
                self.judged.append(judge(self.session, stack))
        self.measured.append(stack)


def choose_stack(
    session: Session, agents: Mapping[str, AgentRecord]
) -> tuple[tuple[MeasuredStack, ...], tuple[Judged, ...]]:
    """Every stack that was measured, and every one that was at the gate.

    A stack on the edge of quality does not get to the gate; those with gentler settings follow.
    """
    frontiers = {skill: _gaining(record.frontier) for skill, record in agents.items()}
    left = compose(frontiers, TECHNIQUES, session.floor.psnr)
    session.journal.write("integrator", "compose", admissible=len(left))
    choice = _Choice(session, _spaces(agents))
    for _ in range(_ROUNDS):
        chosen = choose_diverse(left, session.request.budget.stacks)
        if not chosen:
            break
        for stack in measure_stacks(session, chosen):
            choice.take(stack)
        left = tuple(c for c in left if c not in chosen and choice.is_worth_measuring(c))
    return tuple(choice.measured), tuple(choice.judged)


def _look_over_the_edge(
    session: Session, stack: MeasuredStack, spaces: Mapping[str, Space]
) -> MeasuredStack:
    check = check_edge(session, stack.candidate, spaces)
    return replace(stack, edge=check, reason=check.text if check.has_fallen else "")


def _gaining(points: tuple[FrontierPoint, ...]) -> tuple[FrontierPoint, ...]:
    return tuple(point for point in points if point.speed.median > 1.0)


def _spaces(agents: Mapping[str, AgentRecord]) -> dict[str, Space]:
    return {name: space for record in agents.values() for name, space in record.spaces.items()}
