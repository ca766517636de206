"""What members do to one another, learned from measured stacks.

How far a measurement lies from its prediction is taken as a sum of unknowns, one for each pair of
techniques in the stack, part of it common to all their settings, and of the noise with which each
member was measured alone. All are Gaussian, so what is known about a stack that was not measured
follows from what it shares with those that were (Rasmussen and Williams 2006, equations 2.25 and
2.26, with a kernel that counts shared members and pairs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Setting = tuple[str, str]
"""A technique, and its knobs as text."""
Members = Mapping[Setting, float]
"""The settings of a stack; of each the standard deviation with which it is known alone."""


@dataclass(frozen=True)
class Prior:
    """How large the unknowns are held to be: standard deviations of a logarithm.

    Attributes:
        pair: Of what two techniques do to one another.
        common: Share of a pair's variance that is the same for all their settings.
        noise: Of the measurement of a stack.
    """

    pair: float
    common: float
    noise: float


@dataclass(frozen=True)
class Belief:
    """Mean and standard deviation of a logarithm."""

    mean: float
    sd: float


class Interactions:
    """Beliefs about the difference between measured and predicted logarithms."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self._seen: list[Members] = []
        self._differences: list[float] = []
        self._inverse: np.ndarray[Any, np.dtype[np.float64]] = np.zeros((0, 0))
        self._of_setting: dict[Setting, float] = {}
        self._of_settings: dict[tuple[Setting, Setting], float] = {}
        self._of_techniques: dict[tuple[str, str], float] = {}

    def learn(self, members: Members, difference: float) -> None:
        """Takes in one measured stack: log(measured / predicted)."""
        self._seen.append(members)
        self._differences.append(difference)
        n = len(self._seen)
        shared = np.array([[self._shared(a, b) for b in self._seen] for a in self._seen])
        noisy = shared + np.eye(n) * self._prior.noise**2
        self._inverse = np.asarray(np.linalg.inv(noisy), dtype=np.float64)
        self._spread()

    def expect(self, members: Members) -> float:
        """The mean of `believe`, from what each member and each pair has of it: much faster."""
        prior, pairs = self._prior, pairs_of(members)
        alone = sum(sd * self._of_setting.get(setting, 0.0) for setting, sd in members.items())
        same = sum(self._of_settings.get(pair, 0.0) for pair in pairs)
        common = sum(self._of_techniques.get((a[0], b[0]), 0.0) for a, b in pairs)
        return alone + prior.pair**2 * (prior.common * common + (1 - prior.common) * same)

    def believe(self, members: Members) -> Belief:
        """About a stack as a whole."""
        shared = [self._shared(members, seen) for seen in self._seen]
        return self._condition(shared, self._shared(members, members))

    def believe_pair(self, first: Setting, second: Setting) -> Belief:
        """About two members' part in it."""
        pair = {first: 0.0, second: 0.0}
        shared = [self._shared_pairs(pair, seen) for seen in self._seen]
        return self._condition(shared, self._prior.pair**2)

    def _spread(self) -> None:
        """The weights of what was seen, summed over the stacks by what is in them."""
        weights = self._inverse @ np.array(self._differences)
        self._of_setting, self._of_settings, self._of_techniques = {}, {}, {}
        for weight, members in zip(weights.tolist(), self._seen, strict=True):
            for setting, sd in members.items():
                _add(self._of_setting, setting, weight * sd)
            for a, b in pairs_of(members):
                _add(self._of_settings, (a, b), weight)
                _add(self._of_techniques, (a[0], b[0]), weight)

    def _condition(self, shared: Sequence[float], variance: float) -> Belief:
        if not self._seen:
            return Belief(0.0, variance**0.5)
        k = np.array(shared)
        mean = float(k @ self._inverse @ np.array(self._differences))
        return Belief(mean, max(variance - float(k @ self._inverse @ k), 0.0) ** 0.5)

    def _shared(self, a: Members, b: Members) -> float:
        alone = sum(sd * b[setting] for setting, sd in a.items() if setting in b)
        return alone + self._shared_pairs(a, b)

    def _shared_pairs(self, a: Members, b: Members) -> float:
        prior = self._prior
        n_same = _n_pairs(len(a.keys() & b.keys()))
        n_common = _n_pairs(len({name for name, _ in a} & {name for name, _ in b}))
        return prior.pair**2 * (prior.common * n_common + (1 - prior.common) * n_same)


def pairs_of(members: Members) -> list[tuple[Setting, Setting]]:
    """All pairs, in a fixed order."""
    return list(combinations(sorted(members), 2))


def _add(sums: dict[T, float], key: T, value: float) -> None:
    sums[key] = sums.get(key, 0.0) + value


def _n_pairs(n: int) -> float:
    return n * (n - 1) / 2
