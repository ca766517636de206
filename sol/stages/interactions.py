"""What the measured stacks say of the pairs in them, for the report."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

from sol.integrator.composer import Composer
from sol.integrator.effects import psnr_of
from sol.integrator.prediction import PairEffect
from sol.validator.report.model import Interaction

_TWO_SIDED = 1.96


def describe_interactions(composer: Composer) -> tuple[Interaction, ...]:
    """Of every two techniques that were measured together, in their last settings."""
    found: dict[tuple[str, str], PairEffect] = {}
    n_stacks: Counter[tuple[str, str]] = Counter()
    for stack in composer.stacks:
        if stack.quality is None or not stack.is_prediction:
            continue
        names = sorted(effect.technique for effect in stack.candidate.members)
        n_stacks.update(combinations(names, 2))
        for pair in composer.model.interactions(stack.candidate.members):
            found[pair.first, pair.second] = pair
    return tuple(_to_interaction(pair, n_stacks[names]) for names, pair in sorted(found.items()))


def _to_interaction(pair: PairEffect, n: int) -> Interaction:
    half = _TWO_SIDED * pair.log_time.sd
    return Interaction(
        first=pair.first,
        second=pair.second,
        speed_factor=math.exp(-pair.log_time.mean),
        low=math.exp(-pair.log_time.mean - half),
        high=math.exp(-pair.log_time.mean + half),
        # Without a measured error nothing was learned, and the belief is still 0.
        psnr_shift_db=psnr_of(pair.log_error.mean) if pair.log_error.mean else None,
        n=n,
    )
