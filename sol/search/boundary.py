"""What one technique's trials say about where quality ends, and where to look for it next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sol.search.bisection import gentlest, halfway, has_ordered_knobs
from sol.search.cliff import (
    Edge,
    Setting,
    boldest_of,
    find_edge,
    find_guard,
    gentler,
    is_on_edge,
)
from sol.search.records import Status
from sol.search.scale import rounded
from sol.space import Space, is_at_least_as_bold


@dataclass(frozen=True)
class Probe:
    """A setting that would say more about the boundary, and why."""

    config: Mapping[str, Any]
    reason: str


@dataclass
class Boundary:
    """The settings of one technique by what became of them.

    Attributes:
        held: Measured, and quality held.
        too_bold: Quality fell below the floor.
        too_gentle: Had no effect.
    """

    technique: str
    space: Space
    held: list[Setting] = field(default_factory=list)
    too_bold: list[Setting] = field(default_factory=list)
    too_gentle: list[Setting] = field(default_factory=list)

    def learn(self, config: Setting, status: Status) -> None:
        """Records what became of a setting; a crash says nothing about quality."""
        kinds = {
            "measured": self.held,
            "over_budget": self.too_bold,
            "no_effect": self.too_gentle,
        }
        if status in kinds:
            kinds[status].append(config)

    def is_hopeless(self, config: Setting) -> bool:
        """Whether the setting is as bold as a failure, or as gentle as one without effect."""
        return any(is_at_least_as_bold(self.space, config, bad) for bad in self.too_bold) or any(
            is_at_least_as_bold(self.space, idle, config) for idle in self.too_gentle
        )

    def is_on_edge(self, config: Setting) -> bool:
        """Whether the setting stands within a margin of one that fails."""
        return is_on_edge(self.space, config, self.too_bold)

    def find_guard(self, config: Setting) -> Setting | None:
        """A bolder measured setting that held as well."""
        return find_guard(self.space, config, self.held)

    def edge(self, best: Setting | None = None) -> Edge | None:
        """The narrowest gap that was measured; above `best`, where one is given."""
        above = [h for h in self.held if best is None or is_at_least_as_bold(self.space, h, best)]
        return find_edge(self.technique, self.space, above, self.too_bold)

    def next_probe(self, best: Setting | None) -> Probe | None:
        """Narrows the gap above `best` to a margin, then steps back to where it is safe.

        Args:
            best: The fastest setting that held, if any did.

        Returns:
            None where nothing failed yet, or the edge is known and `best` is not on it.
        """
        if not self.too_bold or not has_ordered_knobs(self.space):
            return None
        gap = self.edge(best) if best is not None else self._gap_below_failures()
        if gap is None:
            return None
        if not gap.is_closed:
            return self._between(gap)
        if best is None or not self.is_on_edge(best):
            return None
        return Probe(gentler(self.space, best), "a margin gentler than what held on the edge")

    def _between(self, gap: Edge) -> Probe:
        # In a knob in which the failure is the gentler one, what held stays as bold as it is.
        failed = boldest_of(self.space, gap.held, gap.failed)
        middle = halfway(self.space, gap.held, failed)
        knobs = {name: rounded(self.space.knobs[name], value) for name, value in middle.items()}
        reason = f"halfway between what held quality and what did not: {gap.text}"
        return Probe(self.space.complete(knobs), reason)

    def _gap_below_failures(self) -> Edge | None:
        """Where nothing held yet: from what had no effect, or else from the gentlest settings."""
        ends = [gentlest(self.space, failed) for failed in self.too_bold]
        return find_edge(self.technique, self.space, self.too_gentle or ends, self.too_bold)
