"""The search over one technique's settings: first settings, then Optuna, minus known failures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial, TrialState

from sol.search.records import Offer, Outcome
from sol.space import Choice, Float, Knob, Space, is_at_least_as_bold

optuna.logging.set_verbosity(optuna.logging.WARNING)

_STARTUP_TRIALS = 4
_SIGNIFICANT_DIGITS = 3


class TechniqueStudy:
    """Proposes settings of one technique and learns from what they did.

    The objective is the speed-up; quality is a constraint (min_psnr - psnr <= 0), which is what
    the gate will demand. Multi-objective search would spend trials on slow, perfect settings.

    Attributes:
        reason: Why the last drawn setting was drawn.
    """

    def __init__(self, offer: Offer, min_psnr: float, seed: int) -> None:
        self.offer = offer
        self.reason = ""
        self._min_psnr = min_psnr
        self._first = list(offer.space.first)
        self._n_first = len(self._first)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._distributions = {k: _distribution(v) for k, v in offer.space.knobs.items()}
        self._open: dict[str, Trial] = {}
        self._seen: set[str] = set()
        self._too_bold: list[Mapping[str, Any]] = []
        self._broken = ""
        self._speedups: list[float] = []
        self._failures = 0

    @property
    def has_first_settings(self) -> bool:
        """Whether settings that do not come from sampling are still to be tried."""
        return bool(self._first) and not self._broken

    @property
    def expected_speedup(self) -> float:
        """What the next setting may bring: the best so far, or 1 where nothing is known."""
        return max(self._speedups, default=1.0)

    @property
    def promise(self) -> float:
        """Best log speed-up so far, less for every failure: the order in which to go on."""
        return math.log(max(self._speedups, default=1.0)) - 0.05 * self._failures

    def draw(self, redraws: int) -> Mapping[str, Any] | None:
        """A setting that is neither known nor known to fail, or None if there seems to be none."""
        if self._broken:
            return None
        for _ in range(redraws):
            trial = self._ask()
            if trial is None:
                return None
            config = {k: _rounded(v) for k, v in trial.params.items()}
            if self._is_worth_measuring(config):
                self._seen.add(_key(config))
                self._open[_key(config)] = trial
                return config
            self._study.tell(trial, state=TrialState.FAIL)
        return None

    def learn(self, config: Mapping[str, Any], outcome: Outcome) -> None:
        """Records a measurement; structural failures end the technique, bold ones bound it."""
        trial = self._open.pop(_key(config))
        if outcome.status == "failed":
            self._failures += 1
            self._broken = outcome.reason if not self.offer.space.knobs else self._broken
        if outcome.status == "over_budget":
            self._failures += 1
            self._too_bold.append(config)
        if outcome.quality is None:
            self._study.tell(trial, state=TrialState.FAIL)
            return
        trial.set_constraint("quality", self._min_psnr - outcome.quality.psnr)
        speedup = outcome.speed.median if outcome.speed else outcome.quality.rough_speedup
        if outcome.status == "measured":
            self._speedups.append(speedup)
        self._study.tell(trial, speedup)

    def _ask(self) -> Trial | None:
        if self._first:
            self._study.enqueue_trial(dict(self._first.pop(0)))
            number = self._n_first - len(self._first)
            self.reason = f"first setting {number} of {self._n_first}: published or simplest"
            return self._study.ask(self._distributions)
        if not self._distributions:
            return None
        best = self.expected_speedup
        known = f"best so far {best:.2f}x" if best > 1 else "nothing faster yet"
        self.reason = f"sampled near what held quality; {known}"
        return self._study.ask(self._distributions)

    def _is_worth_measuring(self, config: Mapping[str, Any]) -> bool:
        if _key(config) in self._seen:
            return False
        space: Space = self.offer.space
        return not any(is_at_least_as_bold(space, config, bad) for bad in self._too_bold)


def _distribution(knob: Knob) -> BaseDistribution:
    if isinstance(knob, Choice):
        return CategoricalDistribution(knob.options)
    if isinstance(knob, Float):
        return FloatDistribution(knob.low, knob.high, log=knob.log)
    return IntDistribution(knob.low, knob.high)


def _rounded(value: Any) -> Any:
    """Three digits: what a person can read in a recipe, and finer than any measurement."""
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")
    return value


def _key(config: Mapping[str, Any]) -> str:
    return repr(sorted(config.items()))
