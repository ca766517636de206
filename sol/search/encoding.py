"""Settings as Optuna sees them: a ranked knob is its index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sol.search.scale import rounded
from sol.space import Choice, Float, Knob, Ranked, Space


def distributions_of(space: Space) -> dict[str, BaseDistribution]:
    """What Optuna samples each knob from."""
    return {name: _distribution(knob) for name, knob in space.knobs.items()}


def encode(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs of a config as Optuna's parameters."""
    return {
        name: knob.options.index(config[name]) if isinstance(knob, Ranked) else config[name]
        for name, knob in space.knobs.items()
    }


def decode(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """A whole config: Optuna's parameters as settings, and what is fixed."""
    settings = {
        name: knob.options[params[name]]
        if isinstance(knob, Ranked)
        else rounded(knob, params[name])
        for name, knob in space.knobs.items()
    }
    return space.complete(settings)


def _distribution(knob: Knob) -> BaseDistribution:
    if isinstance(knob, Choice):
        return CategoricalDistribution(knob.options)
    if isinstance(knob, Ranked):
        return IntDistribution(0, len(knob.options) - 1)
    if isinstance(knob, Float):
        return FloatDistribution(knob.low, knob.high, log=knob.log)
    return IntDistribution(knob.low, knob.high)
