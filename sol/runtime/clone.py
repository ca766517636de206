"""A second pipeline over the same weights.

Trials run on clones: a technique may replace modules and hook forwards of the clone, the
original is never touched, and neither its output nor its timing can be contaminated.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

from torch import nn


def clone_pipeline(pipeline: Any) -> Any:
    """A pipeline with module objects of its own and tensors shared with `pipeline`.

    In-place edits of a shared tensor would reach the original; techniques replace instead. What
    takes no part in making the video, a safety checker, is the original's own.
    """
    beside = type(pipeline)._exclude_from_cpu_offload
    components = {
        name: part if name in beside else _clone(part)
        for name, part in pipeline.components.items()
    }
    clone = type(pipeline)(**components, **_settings(pipeline))
    clone.set_progress_bar_config(disable=True)
    return clone


def _settings(pipeline: Any) -> dict[str, Any]:
    """What the pipeline was made with besides its components (where Wan changes experts)."""
    accepted = inspect.signature(type(pipeline).__init__).parameters
    return {
        name: value
        for name, value in pipeline.config.items()
        if name in accepted and name not in pipeline.components
    }


def _clone(component: Any) -> Any:
    if isinstance(component, nn.Module):
        shared = (*component.parameters(), *component.buffers())
        return copy.deepcopy(component, {id(tensor): tensor for tensor in shared})
    return copy.deepcopy(component)
