"""How well the predictions that were made before a stack was measured agree with measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sol.measure.stats import Interval, rank_correlation

FEWEST_COMPARED = 4
"""Fewer stacks than this can be in the predicted order by luck."""


@dataclass(frozen=True)
class Guess:
    """One number of one stack, predicted and then measured.

    Attributes:
        likely: Where the measurement was expected with 95% probability, if the model said so.
        spread: The interval of the measurement, where it has one.
    """

    label: str
    predicted: float
    measured: float
    likely: tuple[float, float] | None = None
    spread: Interval | None = None

    @property
    def is_as_likely(self) -> bool:
        """Whether the measurement is where it was expected."""
        return self.likely is not None and self.likely[0] <= self.measured <= self.likely[1]


@dataclass(frozen=True)
class Agreement:
    """Of `n` stacks; the other numbers are None where those are too few to say.

    Attributes:
        rank_correlation: Spearman's; None as well where all are predicted, or measured, alike.
        median_error: Median of |predicted - measured| in the unit of the numbers, or as a share
            of the measured.
        n_with_interval: Predictions that came with an interval.
        n_inside: Measurements inside of theirs.
    """

    n: int
    rank_correlation: float | None
    median_error: float | None
    n_with_interval: int = 0
    n_inside: int = 0


def compare_guesses(guesses: Sequence[Guess], relative: bool) -> Agreement:
    """The agreement over all guesses.

    Args:
        relative: Whether errors are shares of the measured number, which must then be positive.
    """
    likely = [guess for guess in guesses if guess.likely is not None]
    n_inside = sum(guess.is_as_likely for guess in likely)
    if len(guesses) < FEWEST_COMPARED:
        return Agreement(len(guesses), None, None, len(likely), n_inside)
    predicted, measured = ([g.predicted for g in guesses], [g.measured for g in guesses])
    errors = [abs(g.predicted - g.measured) / (g.measured if relative else 1) for g in guesses]
    return Agreement(
        len(guesses),
        rank_correlation(predicted, measured),
        median(errors),
        len(likely),
        n_inside,
    )
