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


@dataclass(frozen=True)
class Altered:
    """What is different; with nothing set, the baseline against itself.

    Attributes:
        overrides: Workload fields.
        prompt: Another prompt, with the same noise.
        rounds: Rounds every output of the denoisers to bfloat16: as much noise as another order of
            sums, or other kernels, bring.
        spoil: Changes the finished frames.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | None = None
    rounds: bool = False
    spoil: Callable[[Frames], Frames] | None = None

    @property
    def is_rendered(self) -> bool:
        """Whether its videos must be made anew: spoiled ones are the baseline's, spoiled."""
        return bool(self.overrides or self.prompt is not None or self.rounds)


@contextmanager
def rounded_outputs(pipeline: Any) -> Iterator[None]:
    """Rounds what the denoisers give to bfloat16 while the block runs."""
    hooks = [
        denoiser.module.register_forward_hook(_round)
        for denoiser in describe_roles(pipeline).denoisers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _round(_: nn.Module, __: Any, output: Any) -> Any:
    first = output[0]
    rounded = first.to(torch.bfloat16).to(first.dtype)
    if isinstance(output, tuple):
        return (rounded, *output[1:])
    output[0].copy_(rounded)
    return output
