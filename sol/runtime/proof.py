"""Whether a technique leaves a pipeline as it was, shown on that pipeline.

The contract suite shows it for the families that Sol has adapters for. A pipeline that was only
looked at has to show it itself, before a technique is tried on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from sol.errors import SolError
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import denoise
from sol.target import Workload
from sol.technique import StackItem, Technique

_STEPS = 3
"""Enough for a second call of every branch, and a call after it."""


class Proof:
    """The first steps of one prompt on one pipeline, against the same without a technique."""

    def __init__(self, pipeline: Any, workload: Workload, prompt: str, seed: int) -> None:
        self._clone = clone_pipeline(pipeline)
        self._workload = workload
        self._pair = (prompt, seed)
        self._expected = self._make()

    def find_flaw(self, technique: Technique, config: Mapping[str, Any]) -> str | None:
        """Why the technique cannot be trusted here, or None if it can.

        Off is off: after undo, latents and modules are what they were. And at its identity
        setting, where it has one, the latents are too.
        """
        try:
            return self._find_change(technique, config)
        # What is unknown may fail in ways that are unknown.
        except (SolError, RuntimeError, ValueError, TypeError, AttributeError, LookupError) as e:
            return f"it fails on this pipeline: {str(e).splitlines()[0] if str(e) else e!r}"

    def _find_change(self, technique: Technique, config: Mapping[str, Any]) -> str | None:
        before = fingerprint_pipeline(self._clone)
        self._with(technique, config)
        if fingerprint_pipeline(self._clone) != before:
            return "its undo leaves this pipeline changed"
        if not torch.equal(self._make(), self._expected):
            return "after its undo this pipeline makes another video"
        if technique.identity is None:
            return None
        at_identity = self._with(technique, {**config, **technique.identity})
        if torch.equal(at_identity, self._expected):
            return None
        return "at its identity setting this pipeline makes another video"

    def _make(self) -> torch.Tensor:
        return _early_latents(self._clone, self._workload, *self._pair)

    def _with(self, technique: Technique, config: Mapping[str, Any]) -> torch.Tensor:
        applied = install_stack(self._clone, (StackItem(technique.name, config),))
        try:
            return self._make()
        finally:
            applied.undo()


class _EnoughError(Exception):
    """Ends a video."""


def _early_latents(pipeline: Any, workload: Workload, prompt: str, seed: int) -> torch.Tensor:
    """After the first steps of a video of all its steps: schedules are made for their number."""
    last: list[torch.Tensor] = []

    def keep(step: int, latents: torch.Tensor) -> torch.Tensor:
        last[:] = [latents.clone()]
        if step + 1 == _STEPS:
            raise _EnoughError
        return latents

    with suppress(_EnoughError):
        denoise(pipeline, workload, prompt, seed, keep)
    return last[0]
