"""The pristine pipeline used in another way: an arm whose difference is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from sol.models.families import describe_roles

Frames = np.ndarray[Any, np.dtype[np.float32]]

JITTER = 2.0**-9
"""The largest relative error of rounding to bfloat16."""


@dataclass(frozen=True)
class Altered:
    """What is different; with nothing set, the baseline against itself.

    Attributes:
        overrides: Workload fields.
        prompt: Another prompt, with the same noise.
        jitter: Seed of a relative error, up to that of rounding to bfloat16, in every output of
            the denoisers: as much as another order of sums, or other kernels, bring.
        spoil: Changes the finished frames.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | None = None
    jitter: int | None = None
    spoil: Callable[[Frames], Frames] | None = None

    @property
    def is_rendered(self) -> bool:
        """Whether its videos must be made anew: spoiled ones are the baseline's, spoiled."""
        return bool(self.overrides) or self.prompt is not None or self.jitter is not None


@contextmanager
def jittered_outputs(pipeline: Any, seed: int) -> Iterator[None]:
    """Multiplies what the denoisers give by 1 + e while the block runs, |e| <= `JITTER`."""
    generator = torch.Generator().manual_seed(seed)

    def jitter(_: nn.Module, __: Any, output: Any) -> Any:
        first = output[0]
        draws = torch.rand(first.shape, generator=generator).to(first) * 2.0 - 1.0
        noisy = first * (1.0 + JITTER * draws)
        if isinstance(output, tuple):
            return (noisy, *output[1:])
        output[0].copy_(noisy)
        return output

    hooks = [
        denoiser.module.register_forward_hook(jitter)
        for denoiser in describe_roles(pipeline).denoisers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
