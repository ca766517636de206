"""From cheap to dear: what a look at one prompt may decide before all prompts are rendered.

One call of the denoiser, then the latents of one prompt, then the frames of all: a trial ends at
the first rung that rules it out. What is not finite or far out of band is out on any rung. A
cheap error decides nothing until it has shown, on this target, that it ranks settings as the dear
measure does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sol.measure.stats import rank_correlation
from sol.search.records import Glance, GlanceLimits, Quality, QualityFloor

BAND = (0.25, 4.0)
"""Updates of the latents as shares of the baseline's, outside of which a run is lost.

Both runs take the same steps of the noise level, so the share is that of two predictions' sizes:
four times the size is sixteen times the energy. On the pocket model what reached 24 dB stayed
within 0.6 and 2.3; extrapolations that blew up came to 5 and 16.
"""

_LEAST_PAIRS = 6
_LEAST_CORRELATION = 0.8
_MARGIN = 1.25
"""Ranks are not perfect. In 67 settings on the pocket model, in 300 orders, no margin lost 0.76 of
the settings that held PSNR 30, this one 0.15; of those that failed it still ends two thirds."""
_VISIBLE_DB = 60.0
"""Settings above it are as good as the baseline: that they rank before all others is no merit."""


def is_in_band(share: float) -> bool:
    """Whether an update of the latents is of a size that the baseline's could have."""
    low, high = BAND
    return low <= share <= high


@dataclass(frozen=True)
class _Pair:
    """What a cheap rung and the dear one said of a setting."""

    error: float
    psnr: float
    held: bool


@dataclass
class Rung:
    """One cheap measure, and what it was worth so far.

    Attributes:
        measures: What its error is of, for people.
    """

    measures: str
    _pairs: list[_Pair] = field(default_factory=list)

    def learn(self, error: float, psnr: float, held: bool) -> None:
        """Takes in a setting that went all the way."""
        self._pairs.append(_Pair(error, psnr, held))

    @property
    def n(self) -> int:
        """How many settings with a visible error went all the way."""
        return len(self._visible)

    @property
    def correlation(self) -> float | None:
        """Spearman's, of its error with the dear one (PSNR, turned around); None before it is one.

        The better it ranks, the nearer to 1.
        """
        if self.n < _LEAST_PAIRS:
            return None
        pairs = self._visible
        return rank_correlation([p.error for p in pairs], [-p.psnr for p in pairs])

    @property
    def is_trusted(self) -> bool:
        """Whether it may rule out a setting."""
        correlation = self.correlation
        return correlation is not None and correlation >= _LEAST_CORRELATION

    @property
    def limit(self) -> float:
        """The error from which a setting is out: infinite while it is not trusted.

        By a margin beyond the worst error that held, and beyond the mildest that failed.
        """
        failed = [pair.error for pair in self._pairs if not pair.held]
        if not failed or not self.is_trusted:
            return math.inf
        worst_held = max((pair.error for pair in self._pairs if pair.held), default=0.0)
        return _MARGIN * max(min(failed), worst_held)

    @property
    def _visible(self) -> list[_Pair]:
        return [pair for pair in self._pairs if pair.psnr < _VISIBLE_DB]


class Ladder:
    """Learns what the cheap rungs are worth on this target, and stops trials on them.

    Args:
        floor: What decides whether a setting that went all the way held.
    """

    def __init__(self, floor: QualityFloor) -> None:
        self._floor = floor
        self._calls = Rung("the denoiser's output on recorded calls")
        self._latents = Rung("the final latents of one prompt")

    @property
    def limits(self) -> GlanceLimits:
        """For a worker: where it need not go on."""
        return GlanceLimits(self._calls.limit, self._latents.limit)

    def verdict(self, glance: Glance) -> str | None:
        """Why a trial ends here, or None if it goes on."""
        if not glance.is_finite:
            return f"not finite after {glance.steps} steps of one prompt"
        return (
            _find_error(self._calls, glance.call_error)
            or _find_stray(glance)
            or _find_error(self._latents, glance.latent_error)
        )

    def learn(self, glance: Glance, quality: Quality) -> tuple[Mapping[str, object], ...]:
        """Takes in a trial that went all the way.

        Returns:
            For the journal, the rungs that are trusted since, or no longer are.
        """
        held = self._floor.find_shortfall(quality) is None
        errors = ((self._calls, glance.call_error), (self._latents, glance.latent_error))
        news = []
        for rung, error in errors:
            if error is None:
                continue
            was_trusted = rung.is_trusted
            rung.learn(error, quality.psnr, held)
            if rung.is_trusted != was_trusted:
                news.append(_describe(rung))
        return tuple(news)

    def describe(self) -> tuple[Mapping[str, object], ...]:
        """For the journal: of each rung, how well it ranks and what it rules out."""
        return tuple(_describe(rung) for rung in (self._calls, self._latents))


def _find_error(rung: Rung, error: float | None) -> str | None:
    if error is None or error < rung.limit:
        return None
    return (
        f"relative error {error:.3g} of {rung.measures}: settings failed from {rung.limit:.3g} on "
        f"(rank correlation with PSNR {rung.correlation:.2f}, n={rung.n})"
    )


def _find_stray(glance: Glance) -> str | None:
    """The update furthest out of band, if one is."""
    shares = [share for share in (glance.least_update, glance.most_update) if share is not None]
    strays = [share for share in shares if not is_in_band(share)]
    if not strays:
        return None
    furthest = max(strays, key=lambda share: abs(math.log(share)) if share > 0 else math.inf)
    low, high = BAND
    return (
        f"an update of the latents of {furthest:.2g} times the baseline's, "
        f"outside of {low:g} to {high:g}"
    )


def _describe(rung: Rung) -> Mapping[str, object]:
    correlation, limit = rung.correlation, rung.limit
    return {
        "measure": rung.measures,
        "correlation": None if correlation is None else round(correlation, 3),
        "n": rung.n,
        "trusted": rung.is_trusted,
        "limit": round(limit, 6) if math.isfinite(limit) else None,
        "verdict": "may end trials" if rung.is_trusted else "may not end trials",
    }
