"""What the gate and the search look at in final latents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sol.measure.fidelity import relative_l2
from sol.measure.memory import modules_of, require_same_weights, weights_bytes
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.search.arms import Arms, Pair
from sol.technique import Stack

Latents = np.ndarray[Any, np.dtype[np.float32]]

_LEAST_ERROR = 1e-12


def mean_latent_error(arms: Arms, stack: Stack, pairs: Sequence[Pair]) -> float:
    """Geometric mean over the pairs of the final latents' relative error."""
    _, clone = arms.slot.prepare(stack)
    errors = []
    for pair in pairs:
        reference = arms.baseline(pair).rendering.latents
        latents = arms.render(clone, pair).latents
        errors.append(relative_l2(torch.from_numpy(reference), torch.from_numpy(latents)))
    return math.exp(float(np.mean([math.log(max(error, _LEAST_ERROR)) for error in errors])))


def latents_of_last(arms: Arms, stack: Stack, pairs: Sequence[Pair]) -> Latents:
    """Of the last pair, after all of them were made in order on a fresh clone."""
    arms.slot.drop()
    _, clone = arms.slot.prepare(stack)
    for pair in pairs:
        rendering = arms.render(clone, pair)
    return rendering.latents


def latents_after_undo(arms: Arms, stack: Stack, pair: Pair) -> Latents:
    """Of a clone on which the stack was used and undone.

    Raises:
        SolError: Other weights were left behind than there were before.
    """
    arms.slot.drop()
    clone = clone_pipeline(arms.pristine)
    before = weights_bytes(modules_of(clone))
    with install_stack(clone, stack):
        arms.render(clone, pair)
    require_same_weights(before, weights_bytes(modules_of(clone)))
    return arms.render(clone, pair).latents


def latents_at_identity(arms: Arms, stack: Stack, pair: Pair) -> Latents:
    """Of a stack whose members need not engage: all are at their identity settings."""
    arms.slot.drop()
    clone = clone_pipeline(arms.pristine)
    applied = install_stack(clone, stack)
    rendering = arms.render(clone, pair)
    applied.undo()
    return rendering.latents
