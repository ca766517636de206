"""Making one video with a pipeline: the same call for baseline, trial, gate and user."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sol.models.families import get_family
from sol.scheduler_step import after_step as watch_latents
from sol.target import Workload


@dataclass(frozen=True)
class Rendering:
    """One video.

    Attributes:
        frames: float32 (frames, height, width, 3) in [0, 1].
        latents: The final latents as the scheduler left them, float32, in the pipeline's layout.
    """

    frames: np.ndarray[Any, np.dtype[np.float32]]
    latents: np.ndarray[Any, np.dtype[np.float32]]


def render(
    pipeline: Any,
    workload: Workload,
    prompt: str,
    seed: int,
    on_step: Callable[[int, torch.Tensor], None] | None = None,
) -> Rendering:
    """Text encoding, denoising and decoding of one prompt.

    Args:
        on_step: Called after every step with its index and the latents.
    """
    last: list[torch.Tensor] = []

    def after_step(step: int, latents: torch.Tensor) -> torch.Tensor:
        last[:] = [latents]
        if on_step is not None:
            on_step(step, latents)
        return latents

    result = _call(pipeline, workload, prompt, seed, "np", after_step)
    frames = np.asarray(get_family(pipeline).read_frames(result), dtype=np.float32)
    return Rendering(frames, last[0].float().cpu().numpy())


def denoise(
    pipeline: Any,
    workload: Workload,
    prompt: str,
    seed: int,
    replace_latents: Callable[[int, torch.Tensor], torch.Tensor] = lambda _, latents: latents,
) -> None:
    """The steps of `render` without the decoding.

    Args:
        replace_latents: (index of a step, latents after it) -> the latents to go on with.
    """
    _call(pipeline, workload, prompt, seed, "latent", replace_latents)


def _call(
    pipeline: Any,
    workload: Workload,
    prompt: str,
    seed: int,
    output_type: str,
    after_step: Callable[[int, torch.Tensor], torch.Tensor],
) -> Any:
    family = get_family(pipeline)
    with ExitStack() as stack:
        stack.callback(family.prepare(pipeline, workload))
        stack.callback(watch_latents(pipeline.scheduler, after_step))
        stack.enter_context(torch.no_grad())
        return pipeline(
            prompt=prompt,
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type=output_type,
            **family.arguments(pipeline, workload),
        )
