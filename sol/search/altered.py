"""The pristine pipeline used in another way: an arm whose difference is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from sol.call_form import CallForm, type_of
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
    hooks = [
        each.module.register_forward_hook(_jittering(each.form, generator), with_kwargs=True)
        for each in describe_roles(pipeline).denoisers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _jittering(form: CallForm, generator: torch.Generator) -> Callable[..., Any]:
    def jitter(_: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Any:
        y = form.read_answer(output)
        draws = torch.rand(y.shape, generator=generator).to(y) * 2.0 - 1.0
        return form.answer(y * (1.0 + JITTER * draws), args, kwargs, type_of(output))

    return jitter
