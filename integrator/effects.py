"""What one setting does alone: measured, or estimated from measured settings of its technique.

Estimates are Gaussian-process regression over the knobs' places between gentle and bold (Rasmussen
and Williams 2006, equations 2.25 and 2.26): a straight line with a bend. A setting that differs in
a knob without an order teaches less.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sol.search.records import Proposal, Quality, Speed, describe_setting
from sol.search.scale import coordinate_of
from sol.space import Space, is_ordered
from sol.technique import StackItem

_MOST_DB = 100.0


@dataclass(frozen=True)
class _Shape:
    """How a logarithm is held to depend on the place between gentle (0) and bold (1).

    Attributes:
        level: Standard deviation of the middle.
        slope: Of the difference between the ends.
        bend: Of what is not a straight line.
        noise: Of a measurement.
    """

    level: float
    slope: float
    bend: float
    noise: float


_TIME_SHAPE = _Shape(level=1.0, slope=0.8, bend=0.08, noise=0.02)
_ERROR_SHAPE = _Shape(level=10.0, slope=5.0, bend=0.7, noise=0.1)
_REACH = 0.35
"""The distance over which a bend is felt."""
_OTHER_KIND = 0.5
"""Correlation left for each knob without an order that differs."""


@dataclass(frozen=True)
class Effect:
    """Logarithms of a setting's time and error, each with its standard deviation.

    Attributes:
        knobs: What was chosen; the rest of `config` follows from it.
        log_time: Of its video's seconds over the baseline's.
        log_error: Of its mean squared error, from the mean PSNR.
        worst_gap_db: Mean PSNR less that of the worst prompt.
        computed: Share of the denoiser's calls that it computes.
        is_measured: Whether it was measured alone.
    """

    technique: str
    config: Mapping[str, Any]
    knobs: tuple[str, ...]
    log_time: float
    log_time_sd: float
    log_error: float
    log_error_sd: float
    worst_gap_db: float
    computed: float
    is_measured: bool = True

    @property
    def item(self) -> StackItem:
        """As a member of a stack."""
        return StackItem(self.technique, self.config)

    @property
    def label(self) -> str:
        """For people."""
        return describe_setting(self.technique, self.config, self.knobs)

    @cached_property
    def key(self) -> tuple[str, str]:
        """Two effects of one setting have the same key."""
        return key_of(self.technique, self.config, self.knobs)


def key_of(technique: str, config: Mapping[str, Any], knobs: Iterable[str]) -> tuple[str, str]:
    """What tells a setting from the others of its technique: its knobs."""
    return technique, repr(sorted((name, config[name]) for name in knobs))


def effect_of(proposal: Proposal, quality: Quality, speed: Speed) -> Effect:
    """What was measured of a setting alone."""
    counts = quality.counts.get(proposal.technique, {})
    computed, skipped = counts.get("calls_computed", 0), counts.get("calls_skipped", 0)
    return Effect(
        technique=proposal.technique,
        config=proposal.config,
        knobs=proposal.knobs,
        log_time=-math.log(speed.median),
        log_time_sd=_TIME_SHAPE.noise,
        log_error=log_error_of(quality.psnr),
        log_error_sd=_ERROR_SHAPE.noise,
        worst_gap_db=quality.psnr - quality.worst_psnr,
        computed=computed / (computed + skipped) if computed and skipped else 1.0,
    )


def log_error_of(psnr: float) -> float:
    """Logarithm of the mean squared error behind a PSNR in dB, of pixels in [0, 1]."""
    return -min(psnr, _MOST_DB) * math.log(10.0) / 10.0


def psnr_of(log_error: float) -> float:
    """The PSNR in dB of a logarithm of the mean squared error."""
    return -log_error * 10.0 / math.log(10.0)


def estimate(space: Space, config: Mapping[str, Any], measured: Sequence[Effect]) -> Effect:
    """What a setting should do, from at least one measured effect of its technique."""
    nearest = min(measured, key=lambda effect: _distance(space, effect.config, config))
    time, time_sd = _regress(space, config, measured, [e.log_time for e in measured], _TIME_SHAPE)
    error, error_sd = _regress(
        space, config, measured, [e.log_error for e in measured], _ERROR_SHAPE
    )
    computed = nearest.computed
    if computed < 1.0:
        # What a skipping member costs beyond the calls that it computes does not change with it.
        computed = min(max(computed + math.exp(time) - math.exp(nearest.log_time), 0.05), 1.0)
    return Effect(
        technique=nearest.technique,
        config=space.complete({name: config[name] for name in space.knobs}),
        knobs=tuple(space.knobs),
        log_time=time,
        log_time_sd=time_sd,
        log_error=error,
        log_error_sd=error_sd,
        worst_gap_db=nearest.worst_gap_db,
        computed=computed,
        is_measured=False,
    )


def _regress(
    space: Space,
    config: Mapping[str, Any],
    measured: Sequence[Effect],
    values: Sequence[float],
    shape: _Shape,
) -> tuple[float, float]:
    configs = [effect.config for effect in measured]
    n, mean = len(values), float(np.mean(values))
    gram = np.array([[_alike(space, a, b, shape) for b in configs] for a in configs])
    weights = np.linalg.inv(gram + np.eye(n) * shape.noise**2)
    k = np.array([_alike(space, config, other, shape) for other in configs])
    found = mean + float(k @ weights @ (np.array(values) - mean))
    variance = _alike(space, config, config, shape) - float(k @ weights @ k)
    return found, math.sqrt(max(variance, 0.0) + shape.noise**2)


def _alike(space: Space, a: Mapping[str, Any], b: Mapping[str, Any], shape: _Shape) -> float:
    x, y = _places(space, a), _places(space, b)
    line = float(np.dot(x - 0.5, y - 0.5)) if x.size else 0.0
    bend = math.exp(-0.5 * float(np.sum((x - y) ** 2)) / _REACH**2) if x.size else 1.0
    kinds = _OTHER_KIND ** _n_other_kinds(space, a, b)
    return (shape.level**2 + shape.slope**2 * line + shape.bend**2 * bend) * kinds


def _distance(space: Space, a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    return float(np.abs(_places(space, a) - _places(space, b)).sum()) + _n_other_kinds(space, a, b)


def _places(space: Space, config: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    ordered = ((name, knob) for name, knob in space.knobs.items() if is_ordered(knob))
    return np.array([coordinate_of(knob, config[name]) for name, knob in ordered])


def _n_other_kinds(space: Space, a: Mapping[str, Any], b: Mapping[str, Any]) -> int:
    return sum(a[n] != b[n] for n, knob in space.knobs.items() if not is_ordered(knob))
