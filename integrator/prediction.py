"""What a stack should do: its speed-up and its quality, each with how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from sol.integrator.cost import TimeShares, cost_of, predict_time
from sol.integrator.effects import Effect, log_error_of, psnr_of
from sol.integrator.interactions import Alone, Belief, Interactions, Members, Prior
from sol.search.records import Quality, QualityFloor, Speed
from sol.technique import Seam, Technique

# Chosen on a recorded space of pocket's: nine in ten measurements lie inside the intervals.
_TIME = Prior(pair=0.5, common=0.7, noise=0.03, least=0.015)
_ERROR = Prior(pair=0.7, common=0.5, noise=0.2)

_IDENTICAL_DB = 80.0
"""What is closer than this is rounding: how rounding errors add up says nothing about others."""
_TWO_SIDED = 1.96
_PRECISION = {Seam.FEED_FORWARD_PRECISION, Seam.ATTENTION_PRECISION}
_LOOSE_DB = 6.0
_OVERLAP_ERROR = 1.0
"""Added to the logarithm of the error for every two members that overlap."""


@dataclass(frozen=True)
class Prediction:
    """Of one stack.

    Attributes:
        log_speedup: Natural logarithm of the speed-up.
        psnr: Mean over the calibration prompts, dB; `worst_psnr` of the worst of them.
        psnr_sd: Standard deviation of both, dB.
    """

    log_speedup: Belief
    psnr: float
    worst_psnr: float
    psnr_sd: float

    @property
    def speedup(self) -> float:
        """Its median."""
        return math.exp(self.log_speedup.mean)

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the speed-up."""
        half = _TWO_SIDED * self.log_speedup.sd
        return self.speedup * math.exp(-half), self.speedup * math.exp(half)

    @property
    def text(self) -> str:
        """For people."""
        low, high = self.interval
        return f"predicted {self.speedup:.2f}x [{low:.2f}, {high:.2f}] at {self.psnr:.1f} dB"

    def chance_of(self, floor: QualityFloor) -> float:
        """The probability that it clears the floor."""
        margin = min(self.psnr - floor.psnr, self.worst_psnr - floor.worst_psnr)
        return 0.5 * math.erfc(-margin / (max(self.psnr_sd, 1e-6) * math.sqrt(2)))

    def gain_over(self, log_speedup: float) -> float:
        """Expected improvement of the logarithm over `log_speedup` (Jones et al. 1998, eq. 15)."""
        sd = max(self.log_speedup.sd, 1e-6)
        z = (self.log_speedup.mean - log_speedup) / sd
        density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        return sd * (z * 0.5 * math.erfc(-z / math.sqrt(2)) + density)


class Sketch(NamedTuple):
    """A prediction without how sure it is; see `Prediction`."""

    log_speedup: float
    psnr: float
    worst_psnr: float

    def may_clear(self, floor: QualityFloor) -> bool:
        """Whether it is above the floor, or within what a prediction may be off."""
        margin = min(self.psnr - floor.psnr, self.worst_psnr - floor.worst_psnr)
        return margin > -_LOOSE_DB


class StackModel:
    """Predicts stacks from what their members do alone, and learns from measured ones."""

    def __init__(self, shares: TimeShares, techniques: Mapping[str, Technique]) -> None:
        self._shares = shares
        self._techniques = techniques
        self._time = Interactions(_TIME)
        self._error = Interactions(_ERROR)

    def predict(self, members: Sequence[Effect]) -> Prediction:
        """Of the stack of these settings."""
        time = self._time.believe(_times_of(members))
        error = self._error.believe(_errors_of(members))
        return Prediction(
            Belief(-(self.log_time(members) + time.mean), time.sd),
            psnr_of(self.log_error(members) + error.mean),
            psnr_of(self._worst_log_error(members) + error.mean),
            -psnr_of(error.sd),
        )

    def sketch(self, members: Sequence[Effect]) -> Sketch:
        """The means of the prediction alone: enough to leave out what is hopeless, and fast."""
        shift = self._error.expect(_errors_of(members))
        return Sketch(
            -(self.log_time(members) + self._time.expect(_times_of(members))),
            psnr_of(self.log_error(members) + shift),
            psnr_of(self._worst_log_error(members) + shift),
        )

    def learn(
        self, members: Sequence[Effect], quality: Quality | None, speed: Speed | None
    ) -> None:
        """Takes in what was measured of a stack; of a single measured setting nothing is new."""
        if len(members) == 1 and members[0].is_measured:
            return
        if speed is not None:
            difference = -math.log(speed.median) - self.log_time(members)
            self._time.learn(_times_of(members), difference)
        predicted = self.log_error(members)
        if quality is not None and max(psnr_of(predicted), quality.psnr) < _IDENTICAL_DB:
            self._error.learn(_errors_of(members), log_error_of(quality.psnr) - predicted)

    def log_time(self, members: Sequence[Effect]) -> float:
        """Before anything was learned: from the diagnosis and what each did alone."""
        techniques = [self._techniques[e.technique] for e in members]
        costs = [cost_of(t, e) for t, e in zip(techniques, members, strict=True)]
        lost = sum(0.5 * min(-a.log_time, -b.log_time) for a, b in self._overlaps(members))
        return math.log(predict_time(self._shares, costs)) + lost

    def log_error(self, members: Sequence[Effect]) -> float:
        """Before anything was learned: mean squares add, and more where members overlap."""
        return _sum_of(e.log_error for e in members) + self._extra_error(members)

    def _worst_log_error(self, members: Sequence[Effect]) -> float:
        return _sum_of(_worst_error(e) for e in members) + self._extra_error(members)

    def _extra_error(self, members: Sequence[Effect]) -> float:
        return _OVERLAP_ERROR * len(self._overlaps(members))

    def _overlaps(self, members: Sequence[Effect]) -> list[tuple[Effect, Effect]]:
        """Every two members that live on what hardly changes from step to step.

        Caches, pruned tokens and sparse attention spend the same redundancy: what one leaves out
        the other cannot save again, and each predicts from what the other left unmade. Lower
        precision spends another. (Seen on pocket: three caches, 3.44x by multiplication, measured
        2.30x; tokens pruned beside a cache that skips half of the steps gain little, at some 5 dB
        less than the sum of the errors.)
        """
        spending = [
            effect
            for effect in members
            if self._techniques[effect.technique].exactness == "lossy"
            and not self._techniques[effect.technique].writes & _PRECISION
            and effect.log_time < 0
        ]
        return list(combinations(spending, 2))

    def interactions(self, members: Sequence[Effect]) -> list[PairEffect]:
        """What is believed of each pair of a stack."""
        return [self._pair_effect(pair) for pair in combinations(sorted(members, key=_key_of), 2)]

    def _pair_effect(self, pair: tuple[Effect, Effect]) -> PairEffect:
        return PairEffect(
            pair[0].technique,
            pair[1].technique,
            self._time.believe_pair(_times_of(pair)),
            self._error.believe_pair(_errors_of(pair)),
        )


@dataclass(frozen=True)
class PairEffect:
    """Two techniques, and the logarithms by which they change one another's time and error."""

    first: str
    second: str
    log_time: Belief
    log_error: Belief


def _key_of(effect: Effect) -> tuple[str, str]:
    return effect.key


def _times_of(members: Sequence[Effect]) -> Members:
    return {e.key: Alone(e.log_time_sd, abs(e.log_time)) for e in members}


def _errors_of(members: Sequence[Effect]) -> Members:
    """Those whose error can be seen; one with little of it adds little doubt to the sum."""
    total = _sum_of(effect.log_error for effect in members)
    visible = (effect for effect in members if psnr_of(effect.log_error) < _IDENTICAL_DB)
    return {e.key: Alone(e.log_error_sd * math.exp(e.log_error - total)) for e in visible}


def _worst_error(effect: Effect) -> float:
    return effect.log_error - log_error_of(effect.worst_gap_db)


def _sum_of(log_errors: Iterable[float]) -> float:
    """Of independent errors together: their mean squares add."""
    return math.log(sum(math.exp(value) for value in log_errors))
