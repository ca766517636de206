"""What the baseline computes more than once: over steps, inside of attention, between tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sol.diagnosis import Settling
from sol.validator.report.markup import Child, Markup, element, join, table
from sol.validator.report.model import RunReport
from sol.validator.report.sparsity import SparsityReport

_WIDTH, _HEIGHT, _PAD = 360, 44, 3


def show_redundancy(report: RunReport) -> Markup:
    """What changes from step to step; in how few blocks attention is; which tokens are at rest."""
    return join(
        _show_changes(report),
        None if report.attention is None else show_attention(report.attention),
        None if report.settling is None else show_settling(report.settling),
    )


def show_attention(sparsity: SparsityReport) -> Markup:
    """A row for each layer: what its best blocks hold, and what leaving the others out costs."""
    first = sparsity.layers[0]
    words = (
        f"Self-attention to {sparsity.density:.0%} of the blocks of {sparsity.block} tokens, "
        "means over heads: the attention that the best blocks hold; the relative error of the "
        "output, by what stands for the others; and the share of the chosen blocks that were "
        f"chosen elsewhere as well, {sparsity.overlap_by_lot:.0%} if they were drawn."
    )
    head = (
        "Layer",
        "Held by the best",
        *(f"Error, {name}" for name in first.error),
        *(f"Overlap, {where}" for where in first.overlap),
    )
    rows: list[tuple[Child, ...]] = [
        (
            str(number),
            *(f"{x:.1%}" for x in (layer.mass, *layer.error.values(), *layer.overlap.values())),
        )
        for number, layer in enumerate(sparsity.layers)
    ]
    return join(element("p", words, class_="quiet"), table("Blocks of attention", head, rows))


def show_settling(settling: Settling) -> Markup:
    """The share of tokens at rest by step, and how far tokens are apart."""
    curves = {
        f"tokens that change by less than {settling.tau:.0%} from here on": settling.settled,
        "mean change of a token": settling.change,
        "change of the calmest quarter over that of the liveliest": settling.spread,
    }
    head = ("Prediction of the clean video", "By step", "Range")
    return table("Settling of the tokens", head, _draw_rows(curves))


def _show_changes(report: RunReport) -> Markup:
    """A row for each recorded series: where it is low, a step is mostly in the one before."""
    rows = _draw_rows(report.redundancy)
    if not rows:
        return element("p", "The redundancy of the baseline was not recorded.")
    return table("Redundancy of the baseline", ("Relative change", "By step", "Range"), rows)


def _draw_rows(series: Mapping[str, Sequence[float]]) -> list[tuple[Child, ...]]:
    return [
        (name, draw_curve(name, values), f"{min(values):.1%} to {max(values):.1%}")
        for name, values in series.items()
        if values
    ]


def draw_curve(name: str, values: Sequence[float]) -> Markup:
    """A line from the first step to the last, zero at the bottom."""
    top = max(*values, 1e-12)
    width, height = _WIDTH - 2 * _PAD, _HEIGHT - 2 * _PAD
    step = width / max(len(values) - 1, 1)
    points = " ".join(
        f"{_PAD + i * step:.1f},{_PAD + height * (1 - value / top):.1f}"
        for i, value in enumerate(values)
    )
    return element(
        "svg",
        element("polyline", points=points, fill="none", stroke="currentColor", stroke_width=2),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_label=f"{name}: {min(values):.1%} to {max(values):.1%} over {len(values)} steps",
    )
