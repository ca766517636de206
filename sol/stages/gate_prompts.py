"""Which prompts and seeds a gate looks at; a search never sees one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sol.models.prompts import Prompt, confirmation_prompts, extra_prompts, screening_prompts
from sol.search.worker import Pair
from sol.validator.profile import Profile

# Far from the seeds of the calibration, which count from 0, and from each other.
_SCREENING_SEED, _CONFIRMATION_SEED, _EXTRA_SEED = 10_000, 20_000, 30_000


@dataclass(frozen=True)
class GatePair:
    """A prompt and a seed, with the name of its files."""

    id: str
    prompt: str
    seed: int
    stratum: str

    @property
    def pair(self) -> Pair:
        """As workers take it."""
        return self.prompt, self.seed


def screening_pairs(profile: Profile, prompts: str) -> tuple[GatePair, ...]:
    """Those of the screening; `prompts` names the prompt set."""
    chosen = screening_prompts(prompts, profile.screening.prompts)
    return _with_seeds("screening", chosen, _SCREENING_SEED, profile.seeds)


def confirmation_pairs(profile: Profile, prompts: str) -> tuple[GatePair, ...]:
    """Those of the last look; a look at n prompts takes the first n times `profile.seeds`."""
    chosen = confirmation_prompts(prompts, profile.confirmation.looks[-1])
    return _with_seeds("confirmation", chosen, _CONFIRMATION_SEED, profile.seeds)


def extra_pairs(profile: Profile, prompts: str, stratum: str) -> tuple[GatePair, ...]:
    """Further ones of one stratum."""
    chosen = extra_prompts(prompts, stratum, profile.confirmation.extra)
    return _with_seeds(f"extra-{stratum}", chosen, _EXTRA_SEED, profile.seeds)


def _with_seeds(
    name: str, prompts: Sequence[Prompt], first_seed: int, n_seeds: int
) -> tuple[GatePair, ...]:
    """Every prompt with seeds of its own."""
    return tuple(
        GatePair(f"{name}-{seed - first_seed:03d}", prompt.text, seed, prompt.stratum)
        for number, prompt in enumerate(prompts)
        for seed in range(first_seed + number * n_seeds, first_seed + (number + 1) * n_seeds)
    )
