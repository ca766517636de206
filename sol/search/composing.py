"""What the search needs of the integrator: one more that bids for measurements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sol.search.records import Outcome, Proposal


class Composing(Protocol):
    """Proposes stacks of the settings that the agents found."""

    skill: str

    def learn_setting(self, proposal: Proposal, outcome: Outcome) -> None:
        """Takes in what was measured of one setting alone."""
        ...

    def offer(self, skill: str, proposals: Iterable[Proposal]) -> None:
        """The settings that an agent would have composed."""
        ...

    def bid(self) -> float:
        """The expected gain of the next measurement, in the logarithm of the speed-up."""
        ...

    def propose(self) -> Proposal | None:
        """The stack that is most worth measuring, or None where none is."""
        ...

    def learn_stack(self, proposal: Proposal, outcome: Outcome) -> None:
        """Takes in what was measured of a stack."""
        ...
