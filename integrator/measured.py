"""A stack that was measured, beside what was predicted of it."""

from __future__ import annotations

from dataclasses import dataclass

from sol.integrator.compose import Candidate
from sol.search.records import Quality, Speed


@dataclass(frozen=True)
class EdgeCheck:
    """What became of a stack's bolder neighbour.

    Attributes:
        text: What moved and where it led, for people.
        has_fallen: Whether the neighbour is below the floor, or could not be measured.
        psnr: Its mean over the calibration pairs, dB; None where there is none.
        floor_psnr: What the search demands of that mean, dB.
        n: Pairs that were rendered.
    """

    text: str
    has_fallen: bool = False
    psnr: float | None = None
    floor_psnr: float | None = None
    n: int = 0


@dataclass(frozen=True)
class MeasuredStack:
    """A candidate and what was measured of it.

    Attributes:
        is_prediction: Whether the candidate's prediction was made before; of a setting that was
            measured alone the numbers were known.
        reason: Why it is out, if it is.
        set_aside: Why it was not sent to the gate in the end although it is not out.
        edge: What its bolder neighbour did, where it was looked at.
    """

    candidate: Candidate
    quality: Quality | None = None
    speed: Speed | None = None
    is_prediction: bool = True
    reason: str = ""
    set_aside: str = ""
    edge: EdgeCheck | None = None

    @property
    def is_eligible(self) -> bool:
        """Whether it may go to the gate."""
        return self.speed is not None and not self.reason

    @property
    def speedup(self) -> float:
        """The measured median; 0 where it was not timed."""
        return self.speed.median if self.speed is not None else 0.0
