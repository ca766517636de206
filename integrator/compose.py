"""Composes stacks from the frontiers: all admissible combinations, the most promising first.

The prediction is the textbook one: speed-ups multiply, squared errors add. Interactions make it
wrong in both directions, which is why the best few are measured and the winner is chosen from
measurements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sol.integrator.constraints import find_conflict
from sol.search.records import FrontierPoint
from sol.technique import Stack, StackItem, Technique


@dataclass(frozen=True)
class Candidate:
    """A stack that may run, and what it should do.

    Attributes:
        predicted_speedup: Product of its members' measured speed-ups.
        predicted_psnr: dB; from the sum of its members' mean squared errors.
        n_overlaps: Lossy members beyond the first of their skill. They spend the same redundancy:
            their gains do not multiply, and their errors meet in the same steps. (Seen on pocket:
            three caches, predicted 3.44x at 37.9 dB, measured 2.30x at 33.0 dB.)
    """

    stack: Stack
    points: tuple[FrontierPoint, ...]
    predicted_speedup: float
    predicted_psnr: float
    n_overlaps: int = 0

    @property
    def label(self) -> str:
        """For people: its members' settings."""
        return " + ".join(point.proposal.label for point in self.points)


def compose(
    frontiers: Mapping[str, Sequence[FrontierPoint]],
    techniques: Mapping[str, Technique],
    min_psnr: float,
) -> tuple[Candidate, ...]:
    """All stacks of at most one setting a technique that no constraint forbids.

    Args:
        frontiers: By skill.
        min_psnr: Stacks predicted below it are left out.

    Returns:
        The predicted fastest first; those with overlaps, whose prediction is worth less, after
        those without.
    """
    by_technique: dict[str, list[FrontierPoint]] = {}
    for points in frontiers.values():
        for point in points:
            by_technique.setdefault(point.proposal.technique, []).append(point)
    candidates: list[Candidate] = []
    # A conflict and a lack of quality stay when a member is added, so nothing is built on either:
    # all combinations of a dozen techniques would be millions.
    for points in by_technique.values():
        extended = (
            _candidate((*base, point), techniques)
            for base in [(), *(candidate.points for candidate in candidates)]
            for point in points
        )
        candidates += [c for c in extended if _is_admissible(c, techniques, min_psnr)]
    return tuple(sorted(candidates, key=lambda c: (c.n_overlaps, -c.predicted_speedup)))


def choose_diverse(candidates: Sequence[Candidate], n: int) -> tuple[Candidate, ...]:
    """The best `n`, each with another set of techniques while there are such.

    Neighbouring settings of one set would all be wrong together when its techniques interfere.
    """
    seen: set[frozenset[str]] = set()
    leaders: list[Candidate] = []
    others: list[Candidate] = []
    for candidate in candidates:
        names = frozenset(item.technique for item in candidate.stack)
        (others if names in seen else leaders).append(candidate)
        seen.add(names)
    return tuple((*leaders, *others)[:n])


def _is_admissible(
    candidate: Candidate, techniques: Mapping[str, Technique], min_psnr: float
) -> bool:
    members = [(techniques[item.technique], item) for item in candidate.stack]
    return candidate.predicted_psnr >= min_psnr and find_conflict(members) is None


def _candidate(
    points: tuple[FrontierPoint, ...], techniques: Mapping[str, Technique]
) -> Candidate:
    ordered = tuple(
        sorted(
            points, key=lambda p: (techniques[p.proposal.technique].phase, p.proposal.technique)
        )
    )
    return Candidate(
        stack=tuple(StackItem(p.proposal.technique, p.proposal.config) for p in ordered),
        points=ordered,
        predicted_speedup=math.prod(p.speed.median for p in ordered),
        predicted_psnr=_summed_psnr([p.quality.psnr for p in ordered]),
        n_overlaps=_count_overlaps([techniques[p.proposal.technique] for p in ordered]),
    )


def _count_overlaps(members: Sequence[Technique]) -> int:
    skills = [technique.skill for technique in members if technique.exactness == "lossy"]
    return len(skills) - len(set(skills))


def _summed_psnr(psnrs: Sequence[float]) -> float:
    """PSNR of independent errors together: their mean squares add."""
    total = sum(10 ** (-psnr / 10) for psnr in psnrs)
    return -10 * math.log10(total) if total > 0 else math.inf
