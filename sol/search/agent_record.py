"""One agent's part of a run, for what follows it and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

from sol.search.cliff import Edge
from sol.search.records import FrontierPoint, Outcome, Proposal
from sol.space import Space


@dataclass
class AgentRecord:
    """What one agent did.

    Attributes:
        frontier: What it offers to be composed.
        edges: Where quality ends, by what it measured.
        spaces: What it could choose from, by technique.
    """

    skill: str
    bound: float
    trials: list[tuple[Proposal, Outcome]] = field(default_factory=list)
    frontier: tuple[FrontierPoint, ...] = ()
    edges: tuple[Edge, ...] = ()
    spaces: Mapping[str, Space] = field(default_factory=dict)
    status: str = "running"

    @property
    def mean_seconds(self) -> float:
        """Of a trial; there must have been one."""
        return max(fmean(outcome.seconds for _, outcome in self.trials), 0.1)
