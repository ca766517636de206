"""Making one video with a pipeline: the same call for baseline, trial, gate and user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sol.models.families import get_family
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

    def after_step(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        last[:] = [tensors["latents"]]
        if on_step is not None:
            on_step(step, tensors["latents"])
        return tensors

    with torch.no_grad():
        result = pipeline(
            prompt=prompt,
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="np",
            callback_on_step_end=after_step,
            **get_family(pipeline).call_arguments(workload),
        )
    frames = np.asarray(result.frames[0], dtype=np.float32)
    return Rendering(frames, last[0].float().cpu().numpy())
