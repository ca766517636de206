"""The search over one technique's settings: first settings, then the edge, then Optuna."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import optuna
from optuna.trial import Trial, TrialState

from sol.search.boundary import Boundary
from sol.search.encoding import decode, distributions_of, encode
from sol.search.records import Offer, Outcome, QualityFloor
from sol.space import list_settings

optuna.logging.set_verbosity(optuna.logging.WARNING)

_STARTUP_TRIALS = 4
_FEW = 64
"""Settings of a space that are counted one by one."""

Config = Mapping[str, Any]


class TechniqueStudy:
    """Proposes settings of one technique and learns from what they did.

    The objective is the speed-up; quality is a constraint, the floor that the gate will
    demand. Multi-objective search would spend trials on slow, perfect settings.
    As soon as a setting failed, draws close in on the edge of quality; once it is known to a
    margin, Optuna's sampler looks elsewhere.

    Attributes:
        boundary: What held, what failed, and what lies between.
        reason: Why the last drawn setting was drawn.
        last_gain: Of the last improvement, in the logarithm of the speed-up.
        since_improvement: Settings that were measured since then.
    """

    def __init__(self, offer: Offer, floor: QualityFloor, seed: int) -> None:
        self.offer = offer
        self.boundary = Boundary(offer.technique, offer.space)
        self.reason = ""
        self._floor = floor
        self._seed = seed
        self._seen: set[str] = set()
        firsts = (offer.space.complete(first) for first in offer.space.first)
        self._first = list(enumerate(firsts, start=1))
        self._study = optuna.create_study(direction="maximize", sampler=self._sampler(0))
        self._distributions = distributions_of(offer.space)
        self._few_settings = list_settings(offer.space, _FEW)
        self._open: dict[str, Trial] = {}
        self._best: Config | None = None
        self._broken = ""
        self._speedups: list[float] = []
        self.last_gain = 0.0
        self.since_improvement = 0

    @property
    def n_tried(self) -> int:
        """How many settings were drawn."""
        return len(self._seen)

    @property
    def is_recommended(self) -> bool:
        """Whether a setting from an accepted recipe is still to be tried."""
        n_recommended = len(self.offer.origins)
        return any(n <= n_recommended and self._is_worth_measuring(c) for n, c in self._first)

    @property
    def expected_speedup(self) -> float:
        """What the next setting may bring: the best so far, or 1 where nothing is known."""
        return max(self._speedups, default=1.0)

    @property
    def has_held(self) -> bool:
        """Whether a setting was measured that held quality."""
        return bool(self._speedups)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to draw, as far as all settings can be counted."""
        if self._broken or self._few_settings is None:
            return bool(self._broken)
        return not any(map(self._is_worth_measuring, self._few_settings))

    def draw(self, redraws: int) -> Config | None:
        """A setting that is neither known nor known to fail, or None if there seems to be none."""
        if self._broken:
            return None
        self._first = [(n, c) for n, c in self._first if self._is_worth_measuring(c)]
        for number in range(redraws):
            self._study.sampler = self._sampler(number)
            asked = self._ask()
            if asked is None:
                return None
            trial, config = asked
            if self._is_worth_measuring(config):
                self._seen.add(self._key(config))
                self._open[self._key(config)] = trial
                return config
            self._study.tell(trial, state=TrialState.FAIL)
        return None

    def reopen(self, config: Config) -> None:
        """Takes a setting that was drawn by another one of this study, as if it had been here."""
        self._seen.add(self._key(config))
        self._open[self._key(config)], _ = self._ask_for(config)

    def learn(self, config: Config, outcome: Outcome) -> None:
        """Records a measurement; structural failures end the technique, bold ones bound it."""
        trial = self._open.pop(self._key(config))
        self.boundary.learn(config, outcome.status)
        self.since_improvement += 1
        if outcome.status == "failed":
            self._broken = outcome.reason if not self.offer.space.knobs else self._broken
        if outcome.quality is None:
            self._study.tell(trial, state=TrialState.FAIL)
            return
        trial.set_constraint("quality", -self._floor.margin_of(outcome.quality))
        speedup = outcome.speed.median if outcome.speed else outcome.quality.rough_speedup
        if outcome.status == "measured":
            self._improve(config, speedup)
        self._study.tell(trial, speedup)

    def _improve(self, config: Config, speedup: float) -> None:
        self._best = self._best or config
        if speedup > self.expected_speedup:
            self.last_gain = math.log(speedup / self.expected_speedup)
            self._best, self.since_improvement = config, 0
        self._speedups.append(speedup)

    def _sampler(self, redraw: int) -> optuna.samplers.BaseSampler:
        """One for each draw: what it draws follows from what was learned, not from who drew."""
        seed = crc32(f"{self._seed} {len(self._seen)} {redraw}".encode())
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)

    def _ask(self) -> tuple[Trial, Config] | None:
        if self._first:
            return self._ask_for(self._next_first())
        if not self._distributions:
            return None
        probe = self.boundary.next_probe(self._best)
        if probe is not None and self._is_worth_measuring(probe.config):
            self.reason = probe.reason
            return self._ask_for(probe.config)
        best = self.expected_speedup
        known = f"best so far {best:.2f}x" if best > 1 else "nothing faster yet"
        self.reason = f"sampled near what held quality; {known}"
        trial = self._study.ask(self._distributions)
        return trial, decode(self.offer.space, trial.params)

    def _next_first(self) -> Config:
        number, config = self._first.pop(0)
        n_first = len(self.offer.space.first)
        self.reason = f"first setting {number} of {n_first}: {self.offer.origin_of(number - 1)}"
        return config

    def _ask_for(self, config: Config) -> tuple[Trial, Config]:
        """A trial of Optuna's with this very setting."""
        self._study.enqueue_trial(encode(self.offer.space, config))
        return self._study.ask(self._distributions), config

    def _is_worth_measuring(self, config: Config) -> bool:
        return self._key(config) not in self._seen and not self.boundary.is_hopeless(config)

    def _key(self, config: Config) -> str:
        """Two configs with the same knobs are the same setting."""
        return repr([config[name] for name in sorted(self.offer.space.knobs)])
