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

from sol.search.bisection import gentlest, halfway, has_ordered_knobs
from sol.search.records import Offer, Outcome, QualityFloor
from sol.space import Choice, Float, Knob, Space, is_at_least_as_bold

optuna.logging.set_verbosity(optuna.logging.WARNING)

_STARTUP_TRIALS = 4
_SIGNIFICANT_DIGITS = 3


class TechniqueStudy:
    """Proposes settings of one technique and learns from what they did.

    The objective is the speed-up; quality is a constraint, the floor that the gate will
    demand. Multi-objective search would spend trials on slow, perfect settings.
    Draws alternate between the middle of what held and what failed, which closes in on the edge
    of quality, and Optuna's sampler, which looks elsewhere.

    Attributes:
        reason: Why the last drawn setting was drawn.
    """

    def __init__(self, offer: Offer, floor: QualityFloor, seed: int) -> None:
        self.offer = offer
        self.reason = ""
        self._floor = floor
        self._first = list(offer.space.first)
        self._n_first = len(self._first)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._distributions = {k: _distribution(v) for k, v in offer.space.knobs.items()}
        self._open: dict[str, Trial] = {}
        self._seen: set[str] = set()
        self._too_bold: list[Mapping[str, Any]] = []
        self._too_gentle: list[Mapping[str, Any]] = []
        self._best: Mapping[str, Any] | None = None
        self._bisects_next = True
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
            asked = self._ask()
            if asked is None:
                return None
            trial, config = asked
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
        if outcome.status == "no_effect":
            self._too_gentle.append(config)
        if outcome.status == "over_budget":
            self._failures += 1
            self._too_bold.append(config)
        if outcome.quality is None:
            self._study.tell(trial, state=TrialState.FAIL)
            return
        trial.set_constraint("quality", -self._floor.margin_of(outcome.quality))
        speedup = outcome.speed.median if outcome.speed else outcome.quality.rough_speedup
        if outcome.status == "measured":
            self._best = config if speedup > self.expected_speedup else self._best or config
            self._speedups.append(speedup)
        self._study.tell(trial, speedup)

    def _ask(self) -> tuple[Trial, Mapping[str, Any]] | None:
        if self._first:
            config = self._first.pop(0)
            self._study.enqueue_trial({k: config[k] for k in self._distributions})
            number = self._n_first - len(self._first)
            self.reason = f"first setting {number} of {self._n_first}: published or simplest"
            return self._study.ask(self._distributions), dict(config)
        if not self._distributions:
            return None
        self._bisects_next = not self._bisects_next
        if not self._bisects_next and self._too_bold and has_ordered_knobs(self.offer.space):
            return self._bisect()
        best = self.expected_speedup
        known = f"best so far {best:.2f}x" if best > 1 else "nothing faster yet"
        self.reason = f"sampled near what held quality; {known}"
        trial = self._study.ask(self._distributions)
        return trial, {k: _rounded(v) for k, v in trial.params.items()}

    def _bisect(self) -> tuple[Trial, Mapping[str, Any]]:
        failed = self._too_bold[-1]
        gentle = self._too_gentle[-1] if self._too_gentle else gentlest(self.offer.space, failed)
        held = self._best or gentle
        config = {k: _rounded(v) for k, v in halfway(self.offer.space, held, failed).items()}
        self.reason = "halfway between what held quality and what did not"
        self._study.enqueue_trial(config)
        return self._study.ask(self._distributions), config

    def _is_worth_measuring(self, config: Mapping[str, Any]) -> bool:
        if _key(config) in self._seen:
            return False
        space: Space = self.offer.space
        too_bold = any(is_at_least_as_bold(space, config, bad) for bad in self._too_bold)
        too_gentle = any(is_at_least_as_bold(space, idle, config) for idle in self._too_gentle)
        return not too_bold and not too_gentle


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
