"""Which pairs to look at: the worst in each thing the gate looks at, not in one metric alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sol.validator.records import PairRecord
from sol.validator.report.headroom import find_headroom
from sol.validator.verdict import Check

MOST_SHOWN = 8
_LOWEST = ("floor", "worst", "tail")


@dataclass(frozen=True)
class WorstPair:
    """A pair, and in what it is worst."""

    record: PairRecord
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Order:
    """The pairs by one rule, the worst first, each with its number."""

    words: str
    ranked: tuple[tuple[PairRecord, float], ...]


def choose_worst_pairs(
    rules: Iterable[tuple[str, str]],
    checks: Sequence[Check],
    pairs: Sequence[PairRecord],
    most: int = MOST_SHOWN,
) -> tuple[WorstPair, ...]:
    """The worst pair of each rule, then the second worst of each, until there are `most`.

    The rules that failed or are nearest to their limits come first. A pair that is the worst by
    several rules is shown once, with all reasons. Pairs with a sanity problem come before all.

    Args:
        rules: Metric and kind of each rule of the profile.
        checks: What became of the rules.
    """
    ranked = [order for rule in _by_headroom(rules, checks) if (order := _rank(rule, pairs))]
    # Two rules of one metric, such as a floor and a tail, put the pairs into one order.
    orders = {order.words: order for order in ranked}.values()
    chosen: dict[int, list[str]] = {id(p): list(p.problems) for p in pairs if p.problems}
    by_id = {id(pair): pair for pair in pairs}
    for rank in range(len(pairs)):
        for order in orders:
            if rank >= len(order.ranked):
                continue
            pair, number = order.ranked[rank]
            if id(pair) in chosen and rank:
                continue
            if id(pair) in chosen or len(chosen) < most:
                chosen.setdefault(id(pair), []).append(_explain(order, rank, number))
    return tuple(WorstPair(by_id[k], tuple(v)) for k, v in list(chosen.items())[:most])


def _by_headroom(
    rules: Iterable[tuple[str, str]], checks: Sequence[Check]
) -> list[tuple[str, str]]:
    def least(rule: tuple[str, str]) -> float:
        name = "_".join(rule)
        own = (find_headroom(c) for c in checks if c.name in (name, f"{name}_min", f"{name}_max"))
        return min((room for room in own if room is not None), default=math.inf)

    return sorted(dict.fromkeys(rules), key=least)


def _rank(rule: tuple[str, str], pairs: Sequence[PairRecord]) -> _Order | None:
    """None where no pair has the metric. A pair that could not be measured is not ranked."""
    metric, kind = rule
    words, key = _measure_of(metric, kind)
    numbers = ((pair, key(pair)) for pair in pairs)
    finite = [(pair, number) for pair, number in numbers if math.isfinite(number)]
    if not finite:
        return None
    worst_first = sorted(finite, key=lambda item: _badness(kind, item[1]))
    return _Order(words, tuple(worst_first))


def _badness(kind: str, number: float) -> float:
    """Smaller is worse. Of a ratio, the distance from 1 either way."""
    if kind != "ratio":
        return number
    return -abs(math.log(number)) if number > 0 else -math.inf


def _measure_of(metric: str, kind: str) -> tuple[str, Callable[[PairRecord], float]]:
    if kind in _LOWEST:
        return f"lowest {metric}", lambda pair: pair.paired.get(metric, math.nan)
    if kind == "ratio":
        return f"{metric} ratio furthest from 1", lambda pair: _ratio(pair, metric)
    return (
        f"largest loss of {metric}",
        lambda pair: _of(pair.accelerated, metric) - _of(pair.baseline, metric),
    )


def _of(values: Mapping[str, float], metric: str) -> float:
    return values.get(metric, math.nan)


def _ratio(pair: PairRecord, metric: str) -> float:
    base = _of(pair.baseline, metric)
    return _of(pair.accelerated, metric) / base if base else math.nan


def _explain(order: _Order, rank: int, number: float) -> str:
    place = f" (no. {rank + 1})" if rank else ""
    return f"{order.words}{place}, {number:.4g}"
