"""A stand-in for `cosmos_guardrail`, whose real checks are gigabytes from the Hub.

Cosmos pipelines of diffusers insist on a safety checker and make one themselves where none was
saved. In tests they make this one; what Sol asks of the package is that it is installed.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.cosmos import pipeline_cosmos2_5_predict
from torch import nn

_PACKAGE = "cosmos_guardrail"


class StandInSafetyChecker(nn.Module):
    """Finds everything safe. Like the real one it has no `save_pretrained`."""

    device = torch.device("cpu")
    dtype = torch.float32

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return frames


def stand_in_for_guardrail() -> None:
    """Until the end of the process."""
    package = ModuleType(_PACKAGE)
    package.__spec__ = ModuleSpec(_PACKAGE, None)
    package.CosmosSafetyChecker = StandInSafetyChecker  # type: ignore[attr-defined]
    sys.modules[_PACKAGE] = package
    pipeline_cosmos2_5_predict.CosmosSafetyChecker = StandInSafetyChecker
