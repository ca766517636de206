"""What is known of settings alone: measured effects, and estimates of what was not measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sol.integrator.effects import Effect, estimate, key_of
from sol.integrator.interactions import Setting
from sol.integrator.retuning import neighbours
from sol.search.records import Proposal
from sol.space import Space
from sol.technique import StackItem, Technique

_FEWEST = 2


@dataclass
class KnownSettings:
    """Effects by technique.

    Attributes:
        spaces: By technique, what its knobs may be.
    """

    techniques: Mapping[str, Technique]
    spaces: dict[str, Space]
    _measured: dict[str, list[Effect]] = field(default_factory=dict)
    _offered: dict[str, set[Setting]] = field(default_factory=dict)

    def add(self, effect: Effect) -> None:
        """Takes in a measured effect."""
        self._measured.setdefault(effect.technique, []).append(effect)

    def offer(self, skill: str, proposals: Iterable[Proposal]) -> None:
        """The settings that an agent would have composed, in the place of those before."""
        self._offered[skill] = {key_of(p.technique, p.config, p.knobs) for p in proposals}

    def to_compose(self) -> dict[str, list[Effect]]:
        """By technique, the effects that are offered."""
        offered = set().union(*self._offered.values())
        chosen = {
            name: [effect for effect in effects if effect.key in offered]
            for name, effects in self._measured.items()
        }
        return {name: effects for name, effects in chosen.items() if effects}

    def find(self, item: StackItem) -> Effect:
        """The effect of a setting: as it was measured, or as it should be by the others."""
        space, measured = self.spaces[item.technique], self._measured[item.technique]
        estimated = estimate(space, item.config, measured)
        return self.measured(estimated.key) or estimated

    def measured(self, key: tuple[str, str]) -> Effect | None:
        """The measured effect with this key; of several the last."""
        effects = reversed(self._measured.get(key[0], []))
        return next((effect for effect in effects if effect.key == key), None)

    def near(self, effect: Effect) -> Iterator[Effect]:
        """Lossy neighbours in one knob; none where but one setting was measured.

        One point tells nothing of what a step to another would do.
        """
        space = self.spaces.get(effect.technique)
        if space is None or self.techniques[effect.technique].exactness != "lossy":
            return
        if len(self._measured[effect.technique]) < _FEWEST:
            return
        for config in neighbours(space, effect.config):
            yield self.find(StackItem(effect.technique, config))
