"""The two arms of a worker: the pristine pipeline, and a clone of it with a stack."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sol.errors import SolError
from sol.lossless_video import VideoShape, read_lossless, to_float, write_lossless
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import Rendering, render
from sol.search.altered import Altered, Frames, jittered_outputs
from sol.search.baseline import BaselineRun, BaselineStore
from sol.search.clone_slot import CloneSlot
from sol.target import Workload

Pair = tuple[str, int]
"""Prompt and seed."""


@dataclass(frozen=True)
class PairFiles:
    """Where the videos of a pair are kept, losslessly in 8 bits.

    Attributes:
        baseline: Read where it is there already, written where it is not.
        accelerated: Written anew.
    """

    baseline: Path
    accelerated: Path
    fps: float


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

    def baseline_frames(self, pair: Pair, files: PairFiles | None) -> Frames:
        """The baseline's frames: those that are kept in its file, if they are to be kept there.

        Raises:
            VideoFileError: The file is not the video that it should be.
            SolError: The video is not finite.
        """
        if files is None:
            return self.baseline(pair).rendering.frames
        return self._kept_frames(pair, files)

    def _kept_frames(self, pair: Pair, files: PairFiles) -> Frames:
        """As every later arm will see them, in 8 bits."""
        if not files.baseline.exists():
            rendering = self.render(self.pristine, pair)
            require_finite(rendering)
            files.baseline.parent.mkdir(parents=True, exist_ok=True)
            write_lossless(rendering.frames, files.baseline, files.fps)
        w = self.workload
        expected = VideoShape(w.num_frames, w.height, w.width, files.fps)
        return np.asarray(to_float(read_lossless(files.baseline, expected)), dtype=np.float32)

    def altered(self, arm: Altered, pair: Pair, baseline: Frames) -> Frames:
        """The frames of the pristine pipeline used in another way."""
        frames = self._render_altered(arm, pair) if arm.is_rendered else baseline
        return frames if arm.spoil is None else arm.spoil(frames.copy())

    def _render_altered(self, arm: Altered, pair: Pair) -> Frames:
        workload = self.workload.with_overrides(arm.overrides)
        prompt = pair[0] if arm.prompt is None else arm.prompt
        if arm.jitter is None:
            return self.render(self.pristine, (prompt, pair[1]), workload).frames
        clone = clone_pipeline(self.pristine)
        with jittered_outputs(clone, arm.jitter + pair[1]):
            return self.render(clone, (prompt, pair[1]), workload).frames

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
