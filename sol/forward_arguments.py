"""Reading a denoiser's forward arguments by name, however the pipeline passes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn


def argument_reader(
    module: nn.Module, name: str
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    """A function (args, kwargs) -> the tensor passed as `name` to `module.forward`."""
    position = list(inspect.signature(module.forward).parameters).index(name)

    def read(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        value: torch.Tensor = kwargs[name] if name in kwargs else args[position]
        return value

    return read
