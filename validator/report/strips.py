"""Every judged pair as a dot: a strip for each paired metric, a lane for each kind of prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sol.validator.report.markup import Child, Markup, element, join, table
from sol.validator.report.model import PairPoint
from sol.validator.report.numbers import show
from sol.validator.verdict import Check

_WIDTH, _LANE, _LABEL, _PAD = 460, 20, 104, 8
_DOT = 3.0
_LIMITS = {"worst": "limit", "floor": "limit mean"}


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(_LABEL + _PAD + share * (_WIDTH - _LABEL - 2 * _PAD), 1)


def show_strips(pairs: Sequence[PairPoint], checks: Sequence[Check]) -> Markup:
    """One row a metric: the strip, and its range."""
    metrics = dict.fromkeys(name for pair in pairs for name in pair.metrics)
    rows = [row for name in metrics if (row := _row(name, pairs, checks))]
    if not rows:
        return element("p", "No pair was measured.")
    words = (
        "Each dot is one prompt and seed, the worst of a metric filled. Solid line: the limit for "
        "every single video; dashed: for the mean over the prompts, by its confidence bound."
    )
    head = ("Metric", "Pairs", "Lowest", "Median", "Highest")
    return join(element("p", words, class_="quiet"), table("Paired metrics", head, rows))


def _row(
    metric: str, pairs: Sequence[PairPoint], checks: Sequence[Check]
) -> tuple[Child, ...] | None:
    points = [pair for pair in pairs if math.isfinite(pair.metrics.get(metric, math.nan))]
    if not points:
        return None
    values = sorted(pair.metrics[metric] for pair in points)
    median = values[len(values) // 2]
    strip = draw_strip(metric, points, checks)
    return (element("code", metric), strip, show(values[0]), show(median), show(values[-1]))


def draw_strip(metric: str, pairs: Sequence[PairPoint], checks: Sequence[Check]) -> Markup:
    """The pairs along the metric, lane by lane; what is worst is drawn last."""
    limits = _find_limits(metric, checks)
    values = [pair.metrics[metric] for pair in pairs]
    ends = (*values, *limits.values())
    scale = _Scale(min(ends), max(ends))
    lanes = list(dict.fromkeys(sorted(pair.stratum for pair in pairs)))
    worst = min(values)
    height = _LANE * len(lanes)
    return element(
        "svg",
        *(_draw_lane(name, index) for index, name in enumerate(lanes)),
        *(_draw_limit(scale.place(limits[kind]), height, kind) for kind in limits),
        *(
            _draw_dot(pair, metric, scale, lanes.index(pair.stratum), worst)
            for pair in sorted(pairs, key=lambda pair: -pair.metrics[metric])
        ),
        viewBox=f"0 0 {_WIDTH} {height}",
        class_="strip",
        role="img",
        aria_label=f"{metric} of {len(pairs)} pairs, {worst:.4g} to {max(values):.4g}",
    )


def _find_limits(metric: str, checks: Sequence[Check]) -> dict[str, float]:
    margins = {check.name: check.margin for check in checks}
    found = {kind: margins.get(f"{metric}_{kind}") for kind in _LIMITS}
    return {kind: margin for kind, margin in found.items() if margin is not None}


def _draw_lane(name: str, index: int) -> Markup:
    y = _LANE * (index + 0.5)
    return join(
        element("text", name or "all pairs", x=0, y=y + 4),
        element("line", x1=_LABEL, x2=_WIDTH, y1=y, y2=y, class_="grid"),
    )


def _draw_limit(x: float, height: float, kind: str) -> Markup:
    return element("line", x1=x, x2=x, y1=0, y2=height, class_=_LIMITS[kind])


def _draw_dot(pair: PairPoint, metric: str, scale: _Scale, lane: int, worst: float) -> Markup:
    value = pair.metrics[metric]
    return element(
        "circle",
        element("title", f"{pair.prompt}\nseed {pair.seed}: {metric} {value:.4g}"),
        cx=scale.place(value),
        cy=_LANE * (lane + 0.5),
        r=_DOT + 1 if value == worst else _DOT,
        class_="dot worst" if value == worst else "dot",
    )
