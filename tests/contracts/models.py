"""The models on which the contract suite runs, and the calls that it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from examples import OTHER_PROMPT, PROMPT
from tiny_models import FAMILIES, build_tiny, tiny_workload

from sol.models.families import get_family
from sol.models.loading import load_model
from sol.target import Workload

MODELS = ("pocket", *FAMILIES)


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
    if name in FAMILIES:
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

    def after_step(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(step, tensors["latents"])
        return tensors

    changed = workload.with_overrides(dict(call.changes))
    with torch.no_grad():
        result = pipeline(
            prompt=list(call.prompts) if len(call.prompts) > 1 else call.prompts[0],
            generator=torch.Generator().manual_seed(call.seed),
            output_type="latent",
            callback_on_step_end=after_step,
            **get_family(pipeline).call_arguments(changed),
        )
    return result.frames.numpy()
