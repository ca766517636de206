"""The trials of a blind review: drawn once, stored, and the same after every restart."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sol.errors import SolError
from sol.target import STRICT
from sol.validator.kept_videos import KeptPair

SCHEMA: Final = "sol.review/1"
Arm = Literal["baseline", "accelerated"]
Side = Literal["left", "right"]

_CATCH_SHARE = 0.25
_FEWEST_CATCHES = 4
"""With four of each, "different" for all pairs and no identical one has p = 1/70."""
_WORST_BY = "psnr"
_ID_BITS = 64


class ReviewError(SolError):
    """A review that cannot go on as it is, with the remedy."""


@dataclass(frozen=True)
class Trial:
    """One question. `id` says nothing; a catch trial shows the baseline on both sides."""

    __pydantic_config__ = STRICT

    id: str
    pair: str
    left: Arm
    right: Arm

    @property
    def is_catch(self) -> bool:
        """Whether both sides are the same video."""
        return self.left == self.right

    def arm(self, side: Side) -> Arm:
        """What is on a side."""
        return self.left if side == "left" else self.right


@dataclass(frozen=True)
class ReviewPlan:
    """Everything that was decided before the first answer.

    Attributes:
        videos: Digest of what is looked at; another one is another review.
    """

    __pydantic_config__ = STRICT

    reviewer: str
    created: str
    seed: int
    videos: str
    stack: str
    trials: tuple[Trial, ...]
    schema: Literal["sol.review/1"] = SCHEMA


def draw_trials(
    pairs: Sequence[KeptPair], seed: int, n_pairs: int | None = None
) -> tuple[Trial, ...]:
    """Every pair once and some baselines against themselves, in random order, sides at random.

    Args:
        n_pairs: Fewer pairs: half of them (rounded up) the worst by PSNR, the others drawn.

    Raises:
        ReviewError: No pairs, or fewer than one asked for.
    """
    if not pairs:
        raise ReviewError("The run keeps no pairs of videos: there is nothing to review.")
    if n_pairs is not None and n_pairs < 1:
        raise ReviewError(f"--pairs must be at least 1, got {n_pairs}.")
    rng = random.Random(seed)
    chosen = _choose(pairs, n_pairs, rng)
    n_catches = min(len(chosen), max(_FEWEST_CATCHES, math.ceil(_CATCH_SHARE * len(chosen))))
    real = [_mix_sides(pair.id, rng) for pair in chosen]
    catches = [
        _make_trial(pair.id, "baseline", "baseline", rng) for pair in rng.sample(chosen, n_catches)
    ]
    trials = real + catches
    rng.shuffle(trials)
    return tuple(trials)


def _choose(pairs: Sequence[KeptPair], n: int | None, rng: random.Random) -> list[KeptPair]:
    if n is None or n >= len(pairs):
        return list(pairs)
    worst_first = sorted(pairs, key=lambda pair: pair.metrics.get(_WORST_BY, math.inf))
    n_worst = math.ceil(n / 2)
    return worst_first[:n_worst] + rng.sample(worst_first[n_worst:], n - n_worst)


def _mix_sides(pair: str, rng: random.Random) -> Trial:
    arms: list[Arm] = ["baseline", "accelerated"]
    rng.shuffle(arms)
    return _make_trial(pair, arms[0], arms[1], rng)


def _make_trial(pair: str, left: Arm, right: Arm, rng: random.Random) -> Trial:
    return Trial(f"{rng.getrandbits(_ID_BITS):0{_ID_BITS // 4}x}", pair, left, right)
