r"""How well the integrator's model predicts stacks that it has not seen, on a recorded space.

    python benchmarks/predictions.py --space benchmarks/recorded/pocket.jsonl \
        --out benchmarks/results/predictions-pocket

Every setting is known alone. Then a number of stacks, drawn at random, are learned, and all others
are predicted: with none, the diagnosis speaks; with some, the measured interactions as well.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sol.integrator.cost import shares_of
from sol.integrator.effects import Effect, effect_of
from sol.integrator.prediction import StackModel
from sol.measure.stats import rank_correlation
from sol.search.recorded_space import RecordedSpace, RecordedStack, key_of, read_space
from sol.search.records import Proposal
from sol.skills.registry import TECHNIQUES

_LEARNED = (0, 5, 10, 20, 40)
_DRAWS = 10


@dataclass(frozen=True)
class Agreement:
    """Of predictions with measurements, the mean over the draws.

    Attributes:
        n_learned: Stacks of several members that the model had seen.
        rank_correlation: Spearman's, of the speed-ups.
        error: Median of |predicted / measured - 1|.
        worst_tenth: Its 90th percentile.
        product_error: The median where the members' speed-ups are just multiplied.
        psnr_correlation: Spearman's, of the PSNR.
        psnr_error_db: Median of its absolute difference.
        covered: Share of the measured speed-ups inside of the 95% intervals.
    """

    n_learned: int
    n_predicted: int
    rank_correlation: float
    error: float
    worst_tenth: float
    product_error: float
    psnr_correlation: float
    psnr_error_db: float
    covered: float


class Known:
    """The effects of a space's settings alone."""

    def __init__(self, space: RecordedSpace) -> None:
        offers = [offer for offers in space.header.offers.values() for offer in offers]
        self._spaces = {offer.technique: offer.space for offer in offers}
        self._stacks = space.stacks

    def members(self, stack: RecordedStack) -> list[Effect] | None:
        """Of a stack; None where a member could not be measured alone."""
        effects = [self._find(name, knobs) for name, knobs in stack.members.items()]
        return None if None in effects else [e for e in effects if e is not None]

    def _find(self, name: str, knobs: object) -> Effect | None:
        alone = self._stacks[key_of({name: knobs})]  # type: ignore[dict-item]
        if alone.failure:
            return None
        config = self._spaces[name].complete(alone.members[name])
        skill = TECHNIQUES[name].skill
        proposal = Proposal(0, skill, name, config, "", 1.0, knobs=tuple(alone.members[name]))
        return effect_of(proposal, alone.quality, alone.speed)


Pairs = list[tuple[RecordedStack, list[Effect]]]


def stacks_of_several(space: RecordedSpace) -> Pairs:
    """All that ran, with their members' effects alone."""
    known = Known(space)
    found = ((s, known.members(s)) for s in space.stacks.values() if not s.failure)
    return [(stack, members) for stack, members in found if members and len(members) > 1]


def evaluate(space: RecordedSpace, pairs: Pairs, n_learned: int, seed: int) -> Agreement:
    """One draw."""
    drawn = list(pairs)
    random.Random(seed).shuffle(drawn)
    model = StackModel(shares_of(space.header.diagnosis), TECHNIQUES)
    for stack, members in drawn[:n_learned]:
        model.learn(members, stack.quality, stack.speed)
    rest = drawn[n_learned:]
    predicted = [model.predict(members) for _, members in rest]
    measured = np.array([stack.speedup for stack, _ in rest])
    speed = np.array([p.speedup for p in predicted])
    product = np.array([np.exp(-sum(e.log_time for e in members)) for _, members in rest])
    psnr = np.array([stack.quality.psnr for stack, _ in rest])
    guess = np.array([p.psnr for p in predicted])
    low, high = np.array([p.interval for p in predicted]).T
    inside = (low <= measured) & (measured <= high)
    error = np.abs(speed / measured - 1)
    return Agreement(
        n_learned,
        len(rest),
        rank_correlation(speed, measured) or 0.0,
        float(np.median(error)),
        float(np.quantile(error, 0.9)),
        float(np.median(np.abs(product / measured - 1))),
        rank_correlation(guess, psnr) or 0.0,
        float(np.median(np.abs(guess - psnr))),
        float(np.mean(inside)),
    )


def mean_of(agreements: Sequence[Agreement]) -> Agreement:
    """Over the draws."""
    rows = [asdict(a) for a in agreements]
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    whole = {name: round(means.pop(name)) for name in ("n_learned", "n_predicted")}
    return Agreement(**whole, **{name: round(value, 4) for name, value in means.items()})


def plot(space: RecordedSpace, pairs: Pairs, n_learned: int, path: Path) -> None:
    """Predicted against measured speed-up of one draw."""
    drawn = list(pairs)
    random.Random(0).shuffle(drawn)
    figure = Figure(figsize=(8, 4))
    for axis, n in zip(figure.subplots(1, 2), (0, n_learned), strict=True):
        model = StackModel(shares_of(space.header.diagnosis), TECHNIQUES)
        for stack, members in drawn[:n]:
            model.learn(members, stack.quality, stack.speed)
        measured = [stack.speedup for stack, _ in drawn[n:]]
        speed = [model.predict(members).speedup for _, members in drawn[n:]]
        axis.loglog(measured, speed, ".", markersize=3)
        ends = [min(measured), max(measured)]
        axis.loglog(ends, ends, color="grey", linewidth=0.8)
        axis.set(xlabel="measured", ylabel="predicted", title=f"{n} stacks learned")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    space = read_space(arguments.space)
    pairs = stacks_of_several(space)
    rows = [mean_of([evaluate(space, pairs, n, seed) for seed in range(_DRAWS)]) for n in _LEARNED]
    for row in rows:
        print(row)
    text = json.dumps([asdict(row) for row in rows], indent=1) + "\n"
    arguments.out.with_suffix(".json").write_text(text, encoding="utf-8")
    plot(space, pairs, _LEARNED[3], arguments.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
