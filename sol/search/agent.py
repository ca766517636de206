"""A skill agent: observe, hypothesise, reflect, post. It decides; it holds no model.

Imports no torch: five agents cost nothing on a small machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sol.search.cliff import Edge
from sol.search.frontier import frontier_of
from sol.search.records import Brief, Finding, FrontierPoint, Offer, Outcome, Proposal
from sol.search.study import TechniqueStudy
from sol.space import Space

_FIRST_GAIN = math.log(1.5)
"""What a technique that was never tried is held to be good for, within its bound."""

_LEAST_HOPE = 0.05
"""For a technique that was never tried, however fast others are: no technique starves."""
_BEATEN = 0.3
"""Weight of a technique of which others of its skill beat every setting so far."""

_REDRAWS = 40
"""Draws that repeat a known failure or a known setting before a technique counts as exhausted."""


@dataclass(frozen=True)
class AgentState:
    """What the orchestrator needs to know to share out measuring time.

    Attributes:
        expected_gain: Of the next trial, in the logarithm of the speed-up.
    """

    skill: str
    bound: float
    best_speedup: float
    trials: int
    exhausted: bool
    expected_gain: float = 0.0


class SkillAgent:
    """Searches the techniques of one skill on one target."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self._studies = [
            TechniqueStudy(offer, brief.floor, brief.seed)
            for offer in brief.offers
            if self._can_show_a_gain(offer)
        ]
        self._points: list[FrontierPoint] = []
        self._findings: list[Finding] = []
        self._known_edges: dict[str, Edge] = {}
        self._proposed: set[int] = set()
        self._again: list[Proposal] = []
        self._told: dict[int, tuple[Finding, ...]] = {}
        self._trials = 0
        self._exhausted = not self._studies

    def observe(self, finding: Finding) -> None:
        """Takes in what another agent posted."""
        self._findings.append(finding)

    def obstacles(self) -> Mapping[str, str]:
        """The techniques that it was offered and will not try, with the reason."""
        return {
            offer.technique: f"its bound {self._brief.bound_of(offer):.2f}x is inside the timing "
            f"noise of {self._brief.noise:.0%}"
            for offer in self._brief.offers
            if not self._can_show_a_gain(offer)
        }

    def hypothesise(self) -> Proposal | None:
        """The next setting worth measuring, or None when there is nothing left to learn."""
        if self._again:
            return self._again.pop(0)
        if self._trials >= self._brief.max_trials:
            self._exhausted = True
            return None
        for study in self._in_order():
            config = study.draw(_REDRAWS)
            if config is not None:
                self._trials += 1
                return self._propose(study, config)
        self._exhausted = True
        return None

    def reflect(self, proposal: Proposal, outcome: Outcome) -> tuple[Finding, ...]:
        """Learns from a measurement; returns what the others should know, if anything.

        Told of the same proposal again, it says the same again and learns nothing.
        """
        if proposal.number not in self._told:
            self._again = [p for p in self._again if p.number != proposal.number]
            study = self._study_of(proposal.technique)
            study.learn(proposal.config, outcome)
            findings = (*self._find_gain(proposal, outcome), *self._find_edge(study))
            self._told[proposal.number] = findings
        return self._told[proposal.number]

    def recall(
        self, history: Sequence[tuple[Proposal, Outcome]], interrupted: Sequence[Proposal] = ()
    ) -> tuple[Finding, ...]:
        """Takes over from an agent of the same brief that is gone; from then on decides as it.

        Args:
            history: Its trials, in the order in which they ended.
            interrupted: What it proposed and never heard of: proposed again, before anything new.

        Returns:
            What it had found.
        """
        findings = [f for p, o in history if self._takes_over(p) for f in self.reflect(p, o)]
        news = [proposal for proposal in interrupted if proposal.number not in self._proposed]
        self._again += [proposal for proposal in news if self._takes_over(proposal)]
        return tuple(findings)

    def frontier(self) -> tuple[FrontierPoint, ...]:
        """The settings worth composing: each technique's own frontier, off the edge of quality.

        By technique, not by skill: an exact technique that is slower than a lossy one of the
        same skill can still be stacked with it.
        """
        return tuple(
            replace(point, guard=study.boundary.find_guard(point.proposal.config))
            for study in self._studies
            for point in frontier_of(self._safe_points(study))
        )

    def edges(self) -> tuple[Edge, ...]:
        """For each technique with settings that held and that failed: the narrowest gap."""
        found = (study.boundary.edge() for study in self._studies)
        return tuple(edge for edge in found if edge is not None)

    def spaces(self) -> Mapping[str, Space]:
        """What may be searched, by technique: neighbours of a setting lie in it."""
        return {offer.technique: offer.space for offer in self._brief.offers}

    def state(self) -> AgentState:
        """For the orchestrator."""
        return AgentState(
            skill=self._brief.skill,
            bound=self._brief.bound,
            best_speedup=self._best_speedup(),
            trials=self._trials,
            exhausted=self._exhausted,
            expected_gain=self._expected_gain(),
        )

    def _expected_gain(self) -> float:
        if self._exhausted:
            return 0.0
        return max((self._gain_of(s) for s in self._studies if not s.is_done), default=0.0)

    def _gain_of(self, study: TechniqueStudy) -> float:
        """What the next setting of a technique may bring, in the logarithm of the speed-up.

        Half of what may be left, times the chance of an improvement. That chance by the rule of
        succession: after k settings in a row without one, 1 / (k + 2). What may be left is never
        more than the last improvement brought: they get smaller. A lossy technique that never held
        has to beat what its skill has: both spend the same redundancy.
        """
        bound, best = math.log(self._brief.bound_of(study.offer)), math.log(self._best_speedup())
        if not study.has_held:
            hope = min(bound, _FIRST_GAIN)
            if study.offer.exactness == "lossy":
                hope = max(hope - 0.5 * best, min(hope, _LEAST_HOPE))
            return 0.5 * hope / (study.n_tried + 1)
        left = min(max(bound - best, 0.0), study.last_gain, _FIRST_GAIN)
        weight = 1.0 if self._is_leading(study) else _BEATEN
        return 0.5 * weight * left / (study.since_improvement + 2)

    def _is_leading(self, study: TechniqueStudy) -> bool:
        """Whether nothing else of the skill beats one of its settings in speed and quality."""
        leading = {point.proposal.technique for point in frontier_of(self._points)}
        return study.offer.technique in leading

    def _takes_over(self, proposal: Proposal) -> bool:
        """Counts a proposal as its own; not where its technique is not searched here."""
        self._trials = max(self._trials, proposal.number)
        study = next((s for s in self._studies if s.offer.technique == proposal.technique), None)
        if study is not None and proposal.number not in self._proposed:
            self._proposed.add(proposal.number)
            study.reopen(proposal.config)
        return study is not None

    def _can_show_a_gain(self, offer: Offer) -> bool:
        return self._brief.bound_of(offer) > 1 + self._brief.noise

    def _propose(self, study: TechniqueStudy, config: Mapping[str, Any]) -> Proposal:
        self._proposed.add(self._trials)
        return Proposal(
            number=self._trials,
            skill=self._brief.skill,
            technique=study.offer.technique,
            config=config,
            hypothesis=study.reason,
            expected_speedup=min(self._brief.bound_of(study.offer), study.expected_speedup),
            known=self._known(),
            knobs=tuple(study.offer.space.knobs),
        )

    def _known(self) -> str:
        """The best that the others measured, or else what they last said about the target."""
        if not self._findings:
            return ""
        best = max(self._findings, key=lambda f: f.speedup or 0.0)
        told = best if best.speedup is not None else self._findings[-1]
        return f"{told.skill}: {told.text}"

    def _find_gain(self, proposal: Proposal, outcome: Outcome) -> tuple[Finding, ...]:
        if outcome.status != "measured" or outcome.quality is None or outcome.speed is None:
            return ()
        best, psnr, speedup = self._best_speedup(), outcome.quality.psnr, outcome.speed.median
        self._points.append(FrontierPoint(proposal, outcome.quality, outcome.speed))
        if speedup <= best:
            return ()
        text = f"{proposal.label}: {speedup:.2f}x at {psnr:.1f} dB"
        return (Finding(self._brief.skill, text, {"psnr": psnr, "speedup": speedup}, speedup),)

    def _find_edge(self, study: TechniqueStudy) -> tuple[Finding, ...]:
        """Once the gap between what held and what failed is down to a margin."""
        edge, technique = study.boundary.edge(), study.offer.technique
        if edge is None or not edge.is_closed or edge == self._known_edges.get(technique):
            return ()
        self._known_edges[technique] = edge
        text = f"{technique}, edge of quality: {edge.text}"
        return (Finding(self._brief.skill, text, {"technique": technique, "share": edge.share}),)

    def _in_order(self) -> list[TechniqueStudy]:
        """What recipes recommend; then the most promising, of equals that of the higher bound."""
        return sorted(
            self._studies,
            key=lambda s: (
                not s.is_recommended,
                -self._gain_of(s),
                -self._brief.bound_of(s.offer),
            ),
        )

    def _safe_points(self, study: TechniqueStudy) -> list[FrontierPoint]:
        return [
            point
            for point in self._points
            if point.proposal.technique == study.offer.technique
            and not study.boundary.is_on_edge(point.proposal.config)
        ]

    def _study_of(self, technique: str) -> TechniqueStudy:
        return next(s for s in self._studies if s.offer.technique == technique)

    def _best_speedup(self) -> float:
        return max((p.speed.median for p in self._points), default=1.0)
