"""The models on which the contract suite runs, and the calls that it makes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from example_prompts import OTHER_PROMPT, PROMPT
from tiny_models import FAMILIES, VARIANTS, build_tiny, tiny_workload

from sol.models.families import get_family
from sol.models.loading import load_model
from sol.scheduler_step import after_step
from sol.target import Workload

MODELS = ("pocket", *FAMILIES, *VARIANTS)


@dataclass(frozen=True)
class ContractModel:
    """One model of the suite.

    Attributes:
        pipeline: Shared by all tests, which work on clones of it.
        workload: Eight guided steps of a small clip.
    """

    pipeline: Any
    workload: Workload


@dataclass(frozen=True)
class Call:
    """One call of a pipeline.

    Attributes:
        seed: Of the noise, which so differs from call to call.
        changes: What differs from the model's workload, as (field, value).
    """

    prompts: tuple[str, ...] = (PROMPT,)
    seed: int = 0
    changes: tuple[tuple[str, Any], ...] = ()


PLAIN = Call()
OTHER = Call((OTHER_PROMPT,), seed=1)
BATCH = Call((OTHER_PROMPT, PROMPT), seed=2)
WIDE = Call((OTHER_PROMPT,), seed=3, changes=(("width", 96),))
UNGUIDED = Call((OTHER_PROMPT,), seed=4, changes=(("guidance_scale", 1.0),))


@cache
def get_model(name: str) -> ContractModel:
    """The model called `name`, loaded or built once a session."""
    if name in (*FAMILIES, *VARIANTS):
        return ContractModel(build_tiny(name), tiny_workload(name))
    loaded = load_model(name, device="cpu")
    small = {"height": 32, "width": 64, "num_frames": 9, "steps": 8}
    return ContractModel(loaded.pipeline, loaded.workload.with_overrides(small))


def denoise(
    pipeline: Any,
    workload: Workload,
    call: Call,
    on_step: Callable[[int, torch.Tensor], None] = lambda step, latents: None,
) -> np.ndarray[Any, Any]:
    """The final latents of a call, not decoded."""

    last: list[torch.Tensor] = []

    def note(step: int, latents: torch.Tensor) -> torch.Tensor:
        last[:] = [latents]
        on_step(step, latents)
        return latents

    family, changed = get_family(pipeline), workload.with_overrides(dict(call.changes))
    with ExitStack() as stack:
        stack.callback(family.prepare(pipeline, changed))
        stack.callback(after_step(pipeline.scheduler, note))
        stack.enter_context(torch.no_grad())
        pipeline(
            prompt=list(call.prompts) if len(call.prompts) > 1 else call.prompts[0],
            generator=torch.Generator().manual_seed(call.seed),
            output_type="latent",
            **family.arguments(pipeline, changed),
        )
    return last[0].float().numpy()
