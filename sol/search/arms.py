"""The two arms of a worker: the pristine pipeline, and a clone of it with a stack."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sol.errors import SolError
from sol.runtime.render import Rendering, render
from sol.search.baseline import BaselineRun, BaselineStore
from sol.search.clone_slot import CloneSlot
from sol.target import Workload

Pair = tuple[str, int]
"""Prompt and seed."""


@dataclass(frozen=True)
class Arms:
    """What videos are made with.

    Attributes:
        pristine: The unmodified pipeline.
        store: Keeps what the pristine pipeline made.
        slot: Holds the clone on which a stack is.
    """

    pristine: Any
    workload: Workload
    store: BaselineStore
    slot: CloneSlot

    @property
    def device(self) -> str:
        """Type of the device: "cpu" or "cuda"."""
        return str(self.pristine.device.type)

    def baseline(self, pair: Pair) -> BaselineRun:
        """The kept baseline video of a pair; made and kept where there is none.

        Raises:
            SolError: It is not finite.
        """
        kept = self.store.find(*pair)
        if kept is not None:
            return kept
        start = time.perf_counter()
        rendering = self.render(self.pristine, pair)
        require_finite(rendering)
        run = BaselineRun(rendering, time.perf_counter() - start)
        self.store.keep(*pair, run)
        return run

    def render(self, pipeline: Any, pair: Pair, workload: Workload | None = None) -> Rendering:
        """A video of a pair; the device has finished when it is there."""
        rendering = render(pipeline, self.workload if workload is None else workload, *pair)
        self.synchronize()
        return rendering

    def synchronize(self) -> None:
        """Waits for what runs on the device."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def require_finite(rendering: Rendering) -> None:
    """Checks every latent and pixel.

    Raises:
        SolError: One is not finite.
    """
    if not np.isfinite(rendering.latents).all() or not np.isfinite(rendering.frames).all():
        raise SolError("The video has values that are not finite.")
