"""The one clone on which a worker tries stacks."""

from __future__ import annotations

from typing import Any

import torch

from sol.runtime.applied import Applied, install_stack
from sol.runtime.clone import clone_pipeline
from sol.technique import Stack


class CloneSlot:
    """Holds a clone of the pristine pipeline with a stack installed and warmed up.

    The last one is kept: quality and speed of a stack are measured one after the other.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._held: tuple[Stack, Applied, Any] | None = None

    def prepare(self, stack: Stack) -> tuple[Applied, Any]:
        """The stack at work, and the clone on which it is."""
        if self._held is None or self._held[0] != stack:
            self.drop()
            clone = clone_pipeline(self._pipeline)
            self._held = (stack, install_stack(clone, stack), clone)
        return self._held[1:]

    def drop(self) -> None:
        """Undoes the stack and lets go of the clone."""
        if self._held is not None:
            self._held[1].undo()
        self._held = None
        # What techniques compile by themselves, layer by layer, counts against Dynamo's limit.
        torch._dynamo.reset()
