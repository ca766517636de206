"""A composed stack as the report shows it: what was expected of it, and what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sol.measure.stats import Interval
from sol.validator.report.agreement import Guess
from sol.validator.report.numbers import PSNR_SHOWN_DB
from sol.validator.report.pareto import SpeedAndQuality
from sol.validator.verdict import Verdict


@dataclass(frozen=True)
class StackReport:
    """A composed stack.

    Attributes:
        members: Its techniques with config and schedule, plain data as in a recipe.
        speedup: Over the baseline; None where it was never timed.
        predicted_speedup: What the cost model expected.
        psnr: Mean over the prompts it was measured on, in dB.
        verdict: The gate's, for a stack that got that far.
        edge: What its bolder neighbour did, for a stack that was to go there.
        predicted_psnr: dB.
        predicted_low: Of the 95% interval of the predicted speed-up, as is `predicted_high`; None
            where the model gave none.
        composed_speedup: On the calibration pair, as every stack is timed when it is composed;
            None where `speedup` is that one, and not a recipe's.
        is_prediction: Whether the stack was not measured before its numbers were predicted.
        set_aside: Why it was not sent to the gate although it was fit as measured.
    """

    label: str
    members: tuple[Mapping[str, Any], ...]
    speedup: Interval | None
    predicted_speedup: float | None
    psnr: float | None
    status: str
    reason: str = ""
    verdict: Verdict | None = None
    edge: str = ""
    predicted_psnr: float | None = None
    predicted_low: float | None = None
    predicted_high: float | None = None
    composed_speedup: Interval | None = None
    is_prediction: bool = False
    set_aside: str = ""

    @property
    def compared_speedup(self) -> Interval | None:
        """The one that all stacks can be compared by: of one kind, on one pair."""
        return self.composed_speedup or self.speedup

    @property
    def speed_and_quality(self) -> SpeedAndQuality | None:
        """Speed-up and PSNR on calibration pairs; None where either was not measured."""
        speed = self.compared_speedup
        if speed is None or self.psnr is None or math.isnan(self.psnr):
            return None
        return speed.median, self.psnr

    @property
    def speed_guess(self) -> Guess | None:
        """None where nothing was predicted before it was measured, or it was never timed."""
        speed = self.compared_speedup
        if not self.is_prediction or speed is None or self.predicted_speedup is None:
            return None
        likely = None
        if self.predicted_low is not None and self.predicted_high is not None:
            likely = (self.predicted_low, self.predicted_high)
        return Guess(self.label, self.predicted_speedup, speed.median, likely, speed)

    @property
    def psnr_guess(self) -> Guess | None:
        """None as above; what is beyond `PSNR_SHOWN_DB` counts as that, equal videos too."""
        if not self.is_prediction or self.predicted_psnr is None or self.psnr is None:
            return None
        if math.isnan(self.psnr) or math.isnan(self.predicted_psnr):
            return None
        predicted, measured = (min(x, PSNR_SHOWN_DB) for x in (self.predicted_psnr, self.psnr))
        return Guess(self.label, predicted, measured)
