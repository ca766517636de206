"""A module in the place of another: it decides whether and how the other one runs."""

from __future__ import annotations

from typing import Any

from torch import nn


class StandIn(nn.Module):
    """Stands for a module. Whatever is asked of it that it does not have is the module's own.

    Attributes:
        inner: The module that it stands for.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)
