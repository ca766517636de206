"""Generates videos at the pocket workload and measures how often they follow the prompt."""

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import LTXPipeline
from numpy.typing import NDArray

from sol.models.pocket.reading import read_colour, read_direction
from sol.models.pocket.scenes import Scene
from sol.models.pocket.workload import (
    FRAME_RATE,
    GUIDANCE_SCALE,
    HEIGHT,
    MAX_SEQUENCE_LENGTH,
    NUM_FRAMES,
    NUM_STEPS,
    WIDTH,
)


@dataclass(frozen=True)
class Accuracy:
    """The fraction of videos whose object has the colour, or the motion, of its scene."""

    colour: float
    direction: float


def generate(pipeline: LTXPipeline, prompts: list[str]) -> list[NDArray[np.float32]]:
    """Makes one video per prompt, seeded by the prompt's place in the list.

    Returns:
        arrays of (frames, height, width, 3), RGB in [0, 1].
    """
    pipeline.set_progress_bar_config(disable=True)
    return [
        pipeline(
            prompt,
            height=HEIGHT,
            width=WIDTH,
            num_frames=NUM_FRAMES,
            frame_rate=FRAME_RATE,
            num_inference_steps=NUM_STEPS,
            guidance_scale=GUIDANCE_SCALE,
            max_sequence_length=MAX_SEQUENCE_LENGTH,
            generator=torch.Generator().manual_seed(index),
            output_type="np",
        ).frames[0]
        for index, prompt in enumerate(prompts)
    ]


def measure_accuracy(videos: list[NDArray[np.float32]], scenes: list[Scene]) -> Accuracy:
    """Compares what is read from each video with the one object of its scene."""
    objects = [scene.objects[0] for scene in scenes]
    pairs = list(zip(videos, objects, strict=True))
    return Accuracy(
        colour=float(np.mean([read_colour(video) == item.colour for video, item in pairs])),
        direction=float(
            np.mean([read_direction(video) == item.direction for video, item in pairs])
        ),
    )
