"""Errors of predictions along a recorded trajectory, from inner products alone.

With the Gram matrix of a run's latents x_t and predictions v_t, the squared error of any linear
prediction of v_t is a quadratic form: a schedule is scored without a call of the denoiser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sol.diagnosis import Redundancy
from sol.skills.cache.skipping.reuse import Mix, ReuseKind, RidgeTable, mix_of

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]


class Trajectory:
    """A recorded run of T steps as vectors over (x_0 .. x_{T-1}, v_0 .. v_{T-1})."""

    def __init__(self, redundancy: Redundancy) -> None:
        self.positions = redundancy.positions
        self.n_steps = len(redundancy.positions)
        self.gram: Matrix = np.asarray(redundancy.gram, dtype=np.float64)
        self.step_sizes = step_sizes(redundancy.positions)

    def x(self, step: int) -> Vector:
        """The latents at a step."""
        return self._unit(step)

    def v(self, step: int) -> Vector:
        """The prediction at a step."""
        return self._unit(self.n_steps + step)

    def mixed(self, step: int, anchors: Sequence[int], mix: Mix) -> Vector:
        """What `mix` returns at `step` after the computed steps `anchors`, the oldest first.

        The input of the step itself is taken as recorded: see `sol.skills.cache.skipping.reuse`.
        """
        used = anchors[-len(mix.past) :]
        total = self.x(step) + mix.shift * (self.x(step) - self.x(anchors[-1]))
        for weight, anchor in zip(mix.past, used, strict=True):
            total = total + weight * (self.v(anchor) - self.x(anchor))
        return total

    def error(
        self, step: int, anchors: Sequence[int], kind: ReuseKind, table: RidgeTable = ()
    ) -> Vector:
        """Predicted minus computed prediction at a skipped step."""
        mix = mix_of(
            kind,
            [self.positions[anchor] for anchor in anchors],
            self.positions[step],
            step / self.n_steps,
            table,
        )
        return self.mixed(step, anchors, mix) - self.v(step)

    def norm(self, vector: Vector) -> float:
        """Of a vector over the basis; 1 is the mean size of a prediction."""
        squared = float(vector @ self.gram @ vector)
        return math.sqrt(max(squared, 0.0))

    def displacement(
        self, computed: Sequence[int], kind: ReuseKind, table: RidgeTable = ()
    ) -> float:
        """How far the final latents are moved by all skipped steps together.

        Each error counts with the size of its step, and errors add up with their directions. The
        trajectory is taken as recorded: what the denoiser makes of displaced latents is left out.
        """
        total = np.zeros(2 * self.n_steps)
        for step in set(range(self.n_steps)) - set(computed):
            anchors = [a for a in computed if a < step]
            total = total + self.step_sizes[step] * self.error(step, anchors, kind, table)
        return self.norm(total)

    def _unit(self, index: int) -> Vector:
        unit: Vector = np.zeros(2 * self.n_steps)
        unit[index] = 1.0
        return unit


def step_sizes(positions: Sequence[float]) -> Vector:
    """By how much each step moves the latents per unit of prediction.

    Differences of noise levels, which end at zero; equal parts where positions are mere indices.
    """
    n_steps = len(positions)
    if n_steps > 1 and positions[0] < positions[-1]:
        return np.full(n_steps, 1.0 / n_steps)
    levels: Vector = np.asarray((*positions, 0.0), dtype=np.float64)
    return levels[1:] - levels[:-1]
