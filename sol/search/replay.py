"""Recorded measurements in the place of a model: a worker for searches that measure nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError, SolError
from sol.search.recorded_space import RecordedSpace, RecordedStack
from sol.search.records import Offer, Quality, QualityFloor, Speed, WorkerInfo
from sol.search.worker import Pair
from sol.technique import Stack


class ReplayWorker:
    """Answers as a measuring worker would, from a recorded space.

    Attributes:
        seconds: How long all answers would have taken to measure, by the recorded seconds.
        asked: The stacks that were measured, in order, each once.
    """

    def __init__(self, space: RecordedSpace) -> None:
        self._space = space
        self.seconds = 0.0
        self.asked: list[RecordedStack] = []

    def describe(self) -> WorkerInfo:
        """What was recorded."""
        return self._space.header.info

    def diagnose(self, pairs: Sequence[Pair]) -> Diagnosis:
        """The recorded diagnosis."""
        return self._space.header.diagnosis

    def rivals(self, skill: str, diagnosis: Diagnosis) -> Mapping[str, Any]:
        """None: the recorded spaces have their tables."""
        return {}

    def parts(self, skill: str, diagnosis: Diagnosis) -> Mapping[str, Any]:
        """None: the recorded spaces have their tables."""
        return {}

    def offers(
        self, skill: str, diagnosis: Diagnosis, tried: object
    ) -> tuple[tuple[Offer, ...], dict[str, str]]:
        """The recorded spaces."""
        return self._space.header.offers.get(skill, ()), {}

    def make_baseline(self, pairs: Sequence[Pair]) -> tuple[float, ...]:
        """The seconds of a baseline video."""
        return (self._space.header.diagnosis.total_s,) * len(pairs)

    def measure_quality(self, stack: Stack, pairs: Sequence[Pair], floor: QualityFloor) -> Quality:
        """The recorded quality, over all prompts even where the first is below the floor.

        Raises:
            NoEffectError: The stack did not engage when it was recorded.
            SolError: It was not recorded, or could not be measured.
        """
        recorded = self._find(stack)
        self.seconds += sum(recorded.accelerated_s[: len(pairs)])
        return recorded.quality

    def measure_speed(self, stack: Stack, pair: Pair, n_pairs: int) -> Speed:
        """The recorded speed; 1 of no stack at all."""
        if not stack:
            seconds = self._space.header.diagnosis.total_s
            return Speed(1.0, 0.98, 1.02, n_pairs, (seconds,), (seconds,))
        speed = self._find(stack).speed
        self.seconds += n_pairs * (speed.baseline_s[0] + speed.accelerated_s[0])
        return replace(speed, n=n_pairs)

    def _find(self, stack: Stack) -> RecordedStack:
        recorded = self._space.find(stack)
        if recorded is None:
            names = " + ".join(item.technique for item in stack)
            raise SolError(f"{names} was not recorded with these settings: record the space anew.")
        if recorded not in self.asked:
            self.asked.append(recorded)
        if recorded.failure.startswith(NoEffectError.__name__):
            raise NoEffectError(recorded.failure)
        if recorded.failure:
            raise SolError(recorded.failure)
        return recorded
