"""Where a pipeline's weights are while it runs: on its device, or on the host until needed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch

from sol.errors import ModelLoadError, UnknownNameError

Offload = Literal["model", "sequential", "group"]
"""By component, by layer, or by layer with the next one fetched meanwhile."""

_NEEDS_ACCELERATE = ("model", "sequential")


def check_offload(offload: str | None, device: str) -> Offload | None:
    """The same, or None.

    Raises:
        UnknownNameError: No way of offloading has this name.
        ModelLoadError: It cannot be done on this device or with these packages.
    """
    if offload is None:
        return None
    known: dict[str, Offload] = {name: name for name in get_args(Offload)}
    if offload not in known:
        raise UnknownNameError("way of offloading", offload, known)
    if torch.device(device).type == "cpu":
        raise ModelLoadError(
            f"--offload {offload} keeps weights on the host until the GPU needs them, and the "
            "device is cpu. Leave it out; where memory is short, use --dtype bfloat16 or a "
            "smaller model."
        )
    if offload in _NEEDS_ACCELERATE and find_spec("accelerate") is None:
        raise ModelLoadError(
            f"--offload {offload} needs accelerate, which is not installed. Install it (pip "
            "install accelerate), or use --offload group."
        )
    return known[offload]


def place(pipeline: Any, device: str, offload: Offload | None) -> Any:
    """Moves a pipeline to its device, or lets diffusers move its parts while it runs."""
    if offload is None:
        return pipeline.to(device)
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        place_groups(pipeline, torch.device(device), use_stream=True)
    return pipeline


def place_groups(pipeline: Any, device: torch.device, use_stream: bool) -> None:
    """Each layer is moved to `device` before its forward, and back to the host after it.

    Args:
        use_stream: Fetches the next layer meanwhile; CUDA only.
    """
    pipeline.enable_group_offload(
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
        use_stream=use_stream,
    )
