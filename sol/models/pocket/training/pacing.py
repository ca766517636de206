"""The clock of a training run: a budget in minutes that survives a restart."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_WARM_UP = 0.02


@dataclass
class Pace:
    """How much of a time budget is used; `spent_s` is what a checkpoint stores.

    Attributes:
        budget_s: seconds of training, over all restarts.
        spent_s: seconds used before this process.
        now: a clock in seconds.
    """

    budget_s: float
    spent_s: float = 0.0
    now: Callable[[], float] = time.monotonic
    _started_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._started_s = self.now()

    def elapsed_s(self) -> float:
        """Seconds of training so far, over all restarts."""
        return self.spent_s + self.now() - self._started_s

    def progress(self) -> float:
        """Fraction of the budget used, at most 1."""
        return min(1.0, self.elapsed_s() / self.budget_s)

    def is_over(self) -> bool:
        """Whether the budget is used up."""
        return self.elapsed_s() >= self.budget_s


class Cadence:
    """Says when something that happens every so many seconds of training is due."""

    def __init__(self, pace: Pace, every_s: float) -> None:
        self._pace = pace
        self._every_s = every_s
        self._last_s = pace.elapsed_s()

    def is_due(self) -> bool:
        """Whether the seconds have passed since the last time this was true."""
        elapsed_s = self._pace.elapsed_s()
        if elapsed_s - self._last_s < self._every_s:
            return False
        self._last_s = elapsed_s
        return True


def learning_rate_factor(progress: float, floor: float = 0.02) -> float:
    """A linear warm-up, then a half cosine down to `floor`; `progress` in [0, 1]."""
    if progress < _WARM_UP:
        return (progress + _WARM_UP / 20) / _WARM_UP
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
