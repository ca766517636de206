"""A skill agent: observe, hypothesise, reflect, post. It decides; it holds no model.

Imports no torch: five agents cost nothing on a small machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sol.search.frontier import frontier_of
from sol.search.records import Brief, Finding, FrontierPoint, Offer, Outcome, Proposal
from sol.search.study import TechniqueStudy

_REDRAWS = 40
"""Draws that repeat a known failure or a known setting before a technique counts as exhausted."""


@dataclass(frozen=True)
class AgentState:
    """What the orchestrator needs to know to share out measuring time."""

    skill: str
    bound: float
    best_speedup: float
    trials: int
    since_improvement: int
    exhausted: bool


class SkillAgent:
    """Searches the techniques of one skill on one target."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self._studies = [TechniqueStudy(offer, brief.floor, brief.seed) for offer in brief.offers]
        self._points: list[FrontierPoint] = []
        self._findings: list[Finding] = []
        self._trials = 0
        self._since_improvement = 0
        self._exhausted = not brief.offers

    def observe(self, finding: Finding) -> None:
        """Takes in what another agent posted."""
        self._findings.append(finding)

    def hypothesise(self) -> Proposal | None:
        """The next setting worth measuring, or None when there is nothing left to learn."""
        if self._trials >= self._brief.max_trials:
            self._exhausted = True
            return None
        for study in self._in_order_of_promise():
            config = study.draw(_REDRAWS)
            if config is not None:
                self._trials += 1
                return self._propose(study.offer, config, study)
        self._exhausted = True
        return None

    def reflect(self, proposal: Proposal, outcome: Outcome) -> Finding | None:
        """Learns from a measurement; returns what the others should know, if anything."""
        study = self._study_of(proposal.technique)
        study.learn(proposal.config, outcome)
        if outcome.status != "measured" or outcome.quality is None or outcome.speed is None:
            self._since_improvement += 1
            return None
        best = self._best_speedup()
        self._points.append(FrontierPoint(proposal, outcome.quality, outcome.speed))
        if outcome.speed.median <= best:
            self._since_improvement += 1
            return None
        self._since_improvement = 0
        return Finding(
            skill=self._brief.skill,
            text=f"{proposal.label}: {outcome.speed.median:.2f}x at {outcome.quality.psnr:.1f} dB",
            data={"psnr": outcome.quality.psnr, "speedup": outcome.speed.median},
        )

    def frontier(self) -> tuple[FrontierPoint, ...]:
        """The settings worth composing: each technique's own frontier.

        By technique, not by skill: an exact technique that is slower than a lossy one of the
        same skill can still be stacked with it.
        """
        return tuple(
            point
            for study in self._studies
            for point in frontier_of(
                p for p in self._points if p.proposal.technique == study.offer.technique
            )
        )

    def state(self) -> AgentState:
        """For the orchestrator."""
        return AgentState(
            skill=self._brief.skill,
            bound=self._brief.bound,
            best_speedup=self._best_speedup(),
            trials=self._trials,
            since_improvement=self._since_improvement,
            exhausted=self._exhausted,
        )

    def _propose(self, offer: Offer, config: Mapping[str, Any], study: TechniqueStudy) -> Proposal:
        return Proposal(
            number=self._trials,
            skill=self._brief.skill,
            technique=offer.technique,
            config=config,
            hypothesis=study.reason,
            expected_speedup=min(self._brief.bound, study.expected_speedup),
            known=self._known(),
        )

    def _known(self) -> str:
        if not self._findings:
            return ""
        best = max(self._findings, key=lambda f: f.data["speedup"])
        return f"{best.skill}: {best.text}"

    def _in_order_of_promise(self) -> list[TechniqueStudy]:
        """Unfinished first settings come first, then the technique with the best chances."""
        return sorted(self._studies, key=lambda s: (not s.has_first_settings, -s.promise))

    def _study_of(self, technique: str) -> TechniqueStudy:
        return next(s for s in self._studies if s.offer.technique == technique)

    def _best_speedup(self) -> float:
        return max((p.speed.median for p in self._points), default=1.0)
