"""What members do to one another, learned from measured stacks.

How far a measurement lies from its prediction is taken as a sum of unknowns: one for each pair of
techniques in the stack, one for each pair of settings, and one for each setting, which was
measured alone with some noise. All are Gaussian, so what is known about a stack that was not
measured follows from what it shares with those that were (Rasmussen and Williams 2006, equations
2.11 and 2.12).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

Setting = tuple[str, str]
"""A technique, and its knobs as text."""
Unknown = tuple[str, ...]
Features = Mapping[Unknown, float]
"""By how much each unknown enters a stack, in standard deviations of the unknown."""


class Alone(NamedTuple):
    """What is known of a setting alone.

    Attributes:
        sd: How sure: a standard deviation of the logarithm.
        size: How much it does: what two do to one another is in proportion to the smaller.
    """

    sd: float
    size: float = 1.0


Members = Mapping[Setting, Alone]


@dataclass(frozen=True)
class Prior:
    """How large the unknowns are held to be: standard deviations of a logarithm.

    Attributes:
        pair: Of what two techniques do to one another, for each unit of the smaller one's size.
        common: Share of a pair's variance that is the same for all their settings.
        noise: Of the measurement of a stack.
        least: Of a pair, beside what is in proportion.
    """

    pair: float
    common: float
    noise: float
    least: float = 0.0


@dataclass(frozen=True)
class Belief:
    """Mean and standard deviation of a logarithm."""

    mean: float
    sd: float


class Interactions:
    """Beliefs about the difference between measured and predicted logarithms."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self._seen: list[Features] = []
        self._differences: list[float] = []
        self._inverse: np.ndarray[Any, np.dtype[np.float64]] = np.zeros((0, 0))
        self._weights: dict[Unknown, float] = {}

    def learn(self, members: Members, difference: float) -> None:
        """Takes in one measured stack: log(measured / predicted)."""
        self._seen.append(self._features(members))
        self._differences.append(difference)
        shared = np.array([[_dot(a, b) for b in self._seen] for a in self._seen])
        noisy = shared + np.eye(len(self._seen)) * self._prior.noise**2
        self._inverse = np.asarray(np.linalg.inv(noisy), dtype=np.float64)
        self._weights = self._sum_weights()

    def expect(self, members: Members) -> float:
        """The mean of `believe`: much faster than with its standard deviation."""
        return _dot(self._features(members), self._weights)

    def believe(self, members: Members) -> Belief:
        """About a stack as a whole."""
        return self._believe(self._features(members))

    def believe_pair(self, members: Members) -> Belief:
        """About what two members do to one another."""
        return self._believe(self._pair_features(members))

    def _believe(self, features: Features) -> Belief:
        variance = _dot(features, features)
        if self._seen:
            shared = np.array([_dot(features, seen) for seen in self._seen])
            variance -= float(shared @ self._inverse @ shared)
        return Belief(_dot(features, self._weights), max(variance, 0.0) ** 0.5)

    def _sum_weights(self) -> dict[Unknown, float]:
        """The expected value of each unknown that was part of a measured stack."""
        weights: dict[Unknown, float] = {}
        shares = self._inverse @ np.array(self._differences)
        for share, features in zip(shares.tolist(), self._seen, strict=True):
            for unknown, value in features.items():
                weights[unknown] = weights.get(unknown, 0.0) + share * value
        return weights

    def _features(self, members: Members) -> Features:
        alone: dict[Unknown, float] = {setting: known.sd for setting, known in members.items()}
        return {**alone, **self._pair_features(members)}

    def _pair_features(self, members: Members) -> Features:
        prior, features = self._prior, dict[Unknown, float]()
        for a, b in pairs_of(members):
            sd = prior.pair * min(members[a].size, members[b].size) + prior.least
            features["techniques", a[0], b[0]] = sd * prior.common**0.5
            features["settings", *a, *b] = sd * (1 - prior.common) ** 0.5
        return features


def pairs_of(members: Members) -> list[tuple[Setting, Setting]]:
    """All pairs, in a fixed order."""
    return list(combinations(sorted(members), 2))


def _dot(a: Features, b: Features) -> float:
    if len(b) < len(a):
        a, b = b, a
    return sum(value * b[unknown] for unknown, value in a.items() if unknown in b)
