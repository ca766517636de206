"""The stand-in for an attention: its output can be kept and returned again."""

from __future__ import annotations

from typing import Any

from torch import nn

from sol.stand_in import StandIn


class BroadcastSite(StandIn):
    """Stands for a module; computes it, or returns the output that it was given.

    Only plain attributes decide, so that torch.compile can trace it.

    Attributes:
        reuse: Return `output` instead of computing.
        keep: Leave what is computed in `output`.
        output: A tensor, or several where the text takes part: one for each stream.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner)
        self.reuse = False
        self.keep = False
        self.output: Any = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.reuse:
            return self.output
        output = self.inner(*args, **kwargs)
        if self.keep:
            self.output = output
        return output

    def release(self) -> Any:
        """Back to computing; hands over the output and holds nothing."""
        output, self.output = self.output, None
        self.reuse = self.keep = False
        return output
