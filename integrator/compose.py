"""Composes stacks: the combinations of settings that the rules allow, the most promising first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from sol.integrator.constraints import find_conflict
from sol.integrator.effects import Effect
from sol.integrator.interactions import Setting
from sol.integrator.prediction import Prediction, StackModel
from sol.search.records import QualityFloor
from sol.technique import Stack, Technique

_BEAM = 150
"""Stacks on which the next technique is built: all combinations of twenty would be millions."""
_MOST = 250
"""Stacks that are looked at closely in the end."""
_LEAST_CHANCE = 0.05
"""Of clearing the floor, by the prediction; what has less is not built on."""


@dataclass(frozen=True)
class Candidate:
    """A stack that may run, and what it should do."""

    members: tuple[Effect, ...]
    prediction: Prediction

    @property
    def stack(self) -> Stack:
        """In the order of installation."""
        return tuple(effect.item for effect in self.members)

    @property
    def predicted_speedup(self) -> float:
        """The median of the prediction."""
        return self.prediction.speedup

    @property
    def predicted_psnr(self) -> float:
        """Mean over the calibration prompts, dB."""
        return self.prediction.psnr

    @property
    def speedup_low(self) -> float:
        """Of the prediction's 95% interval, as is `speedup_high`."""
        return self.prediction.interval[0]

    @property
    def speedup_high(self) -> float:
        """See `speedup_low`."""
        return self.prediction.interval[1]

    @property
    def label(self) -> str:
        """For people: its members' settings."""
        return " + ".join(effect.label for effect in self.members)

    @property
    def key(self) -> frozenset[tuple[str, str]]:
        """Two candidates with the same settings have the same key."""
        return frozenset(effect.key for effect in self.members)


def compose(
    effects: Mapping[str, Sequence[Effect]],
    techniques: Mapping[str, Technique],
    model: StackModel,
    floor: QualityFloor,
) -> tuple[Candidate, ...]:
    """Stacks of at most one setting a technique that no constraint forbids.

    A conflict and a lack of quality stay when a member is added, so nothing is built on either;
    of what is left, each technique is added to the fastest.

    Args:
        effects: By technique.

    Returns:
        The predicted fastest first; at most some hundreds.
    """
    clashes = _Clashes(techniques)
    found: list[tuple[float, tuple[Effect, ...]]] = []
    for name in sorted(effects, key=lambda name: _fastest(effects[name])):
        bases = [(), *(members for _, members in found[:_BEAM])]
        for base, effect in product(bases, effects[name]):
            if any(clashes.between(other, effect) for other in base):
                continue
            sketch = model.sketch((*base, effect))
            if sketch.may_clear(floor):
                found.append((sketch.log_speedup, (*base, effect)))
        found.sort(key=lambda pair: -pair[0])
    candidates = [make_candidate(members, techniques, model) for _, members in found[:_MOST]]
    return tuple(
        sorted(
            (c for c in candidates if is_admissible(c, techniques, floor)), key=_minus_log_speedup
        )
    )


class _Clashes:
    """Which two settings no rule allows together; each two are asked about once."""

    def __init__(self, techniques: Mapping[str, Technique]) -> None:
        self._techniques = techniques
        self._known: dict[tuple[Setting, Setting], bool] = {}

    def between(self, first: Effect, second: Effect) -> bool:
        key = (first.key, second.key)
        if key not in self._known:
            members = [(self._techniques[e.technique], e.item) for e in (first, second)]
            self._known[key] = find_conflict(members) is not None
        return self._known[key]


def make_candidate(
    members: Iterable[Effect], techniques: Mapping[str, Technique], model: StackModel
) -> Candidate:
    """The stack of these settings, in the order of installation."""
    ordered = sorted(members, key=lambda e: (techniques[e.technique].phase, e.technique))
    return Candidate(tuple(ordered), model.predict(ordered))


def is_admissible(
    candidate: Candidate, techniques: Mapping[str, Technique], floor: QualityFloor
) -> bool:
    """Whether no rule forbids the stack and it may clear the floor."""
    members = [(techniques[item.technique], item) for item in candidate.stack]
    if find_conflict(members) is not None:
        return False
    return candidate.prediction.chance_of(floor) >= _LEAST_CHANCE


def _fastest(effects: Sequence[Effect]) -> float:
    return min((effect.log_time for effect in effects), default=0.0)


def _minus_log_speedup(candidate: Candidate) -> float:
    return -candidate.prediction.log_speedup.mean
