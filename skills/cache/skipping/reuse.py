"""What a skipped call returns: a linear mix of what earlier calls computed.

A call maps x to y (latents to the denoiser's output, or a block's hidden states to those behind
the last block). Its residual is r = y - x. A skipped call at position p, after computed calls at
positions p_i, returns

    x + sum_i w_i r_i + s (x - x_last)

Positions are noise levels where the scheduler has them: outputs change smoothly with the noise
level, while the distance between two steps varies. The weights depend on positions alone, so that
the same function drives a running pipeline and a planner that only has inner products.

Sources: residual reuse, EasyCache (arXiv 2507.02860); extrapolation, TaylorSeer (arXiv 2503.06923)
with divided differences in place of equal steps; fitted weights in stages of the trajectory, the
closed form of LESA's predictors (arXiv 2602.20497).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

ReuseKind = Literal["output", "residual", "taylor1", "taylor2", "ridge"]
RidgeTable = tuple[float, ...]
"""The fitted second-order weight of each equal stage of a video."""

KINDS: tuple[ReuseKind, ...] = get_args(ReuseKind)
Megabytes = Annotated[float, Field(gt=0.0)]

_Weights = tuple[float, ...]
_DEPTH = {"output": 1, "residual": 1, "taylor1": 2, "taylor2": 3, "ridge": 3}


@dataclass(frozen=True)
class Mix:
    """Weights of a prediction.

    Attributes:
        past: Of the residuals of the last computed calls, the oldest first.
        shift: Of x - x_last, the way that the input has moved since the last computed call.
    """

    past: tuple[float, ...]
    shift: float = 0.0


def depth_of(kind: ReuseKind) -> int:
    """How many computed calls a prediction looks back on."""
    return _DEPTH[kind]


def needs_input(kind: ReuseKind) -> bool:
    """Whether a prediction needs the input of the last computed call."""
    return kind == "output"


def mix_of(
    kind: ReuseKind,
    positions: Sequence[float],
    now: float,
    progress: float = 0.0,
    table: RidgeTable = (),
) -> Mix:
    """The weights of a prediction at position `now`.

    Args:
        positions: Of the computed calls, the oldest first; at least one. Extrapolation falls back
            to a lower order while there are too few.
        progress: Share of the video's steps that lie behind, in [0, 1): picks the row of `table`.
        table: For "ridge", the weight of the second-order term in each equal stage of a video.
    """
    if kind == "output":
        return Mix((1.0,), -1.0)
    past = positions[-depth_of(kind) :]
    if kind == "residual" or len(past) == 1:
        return Mix((1.0,))
    second = 0.0
    if kind == "taylor2":
        second = 1.0
    elif kind == "ridge":
        second = table[int(progress * len(table))]
    return Mix(
        tuple(
            last + first + second * curve
            for last, first, curve in zip(*newton_terms(past, now), strict=True)
        )
    )


def newton_terms(positions: Sequence[float], now: float) -> tuple[_Weights, _Weights, _Weights]:
    """Newton's interpolation through the last computed calls, term by term.

    The last residual itself, the first-order and the second-order term, each as weights of the
    residuals. A term for which there are too few calls, or which has two at one position, is zero.
    """
    n = len(positions)
    zero = (0.0,) * n
    last = (*zero[1:], 1.0)
    first, second = zero, zero
    if n > 1 and positions[-1] != positions[-2]:
        rho = (now - positions[-1]) / (positions[-1] - positions[-2])
        first = (*zero[2:], -rho, rho)
    if len(set(positions[-_DEPTH["taylor2"] :])) == _DEPTH["taylor2"]:
        second = (*zero[3:], *_second_order(positions[-3], positions[-2], positions[-1], now))
    return last, first, second


def _second_order(a: float, b: float, c: float, now: float) -> tuple[float, float, float]:
    """(now - c)(now - b) r[a, b, c], as weights of r(a), r(b), r(c)."""
    scale = (now - c) * (now - b)
    return (
        scale / ((a - b) * (a - c)),
        scale / ((b - a) * (b - c)),
        scale / ((c - a) * (c - b)),
    )
