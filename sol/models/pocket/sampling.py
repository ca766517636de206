"""Makes videos with a pocket pipeline at the settings it is trained for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import LTXPipeline
from numpy.typing import NDArray

from sol.models.pocket.workload import (
    FRAME_RATE,
    GUIDANCE_SCALE,
    MAX_SEQUENCE_LENGTH,
    NUM_STEPS,
    SHORT,
    ClipShape,
)


@dataclass(frozen=True)
class Sampling:
    """How one video is made."""

    shape: ClipShape = SHORT
    steps: int = NUM_STEPS
    guidance_scale: float = GUIDANCE_SCALE
    first_seed: int = 0


def generate(
    pipeline: LTXPipeline, prompts: Sequence[str], sampling: Sampling | None = None
) -> Iterator[NDArray[np.float32]]:
    """Makes one video per prompt, seeded by the prompt's place in the list.

    Yields:
        (frames, height, width, 3), RGB in [0, 1].
    """
    how = sampling or Sampling()
    pipeline.set_progress_bar_config(disable=True)
    for index, prompt in enumerate(prompts):
        yield pipeline(
            prompt,
            height=how.shape.height,
            width=how.shape.width,
            num_frames=how.shape.num_frames,
            frame_rate=FRAME_RATE,
            num_inference_steps=how.steps,
            guidance_scale=how.guidance_scale,
            max_sequence_length=MAX_SEQUENCE_LENGTH,
            generator=torch.Generator().manual_seed(how.first_seed + index),
            output_type="np",
        ).frames[0]
