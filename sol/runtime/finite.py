"""Whether what a pipeline computed are numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch


def is_finite(value: Any) -> bool:
    """Whether no tensor or array in a pipeline's result has a NaN or an infinity.

    Pictures (PIL) are whole numbers: they cannot show it.
    """
    if isinstance(value, torch.Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    if isinstance(value, np.ndarray):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    return all(is_finite(item) for item in _items(value))


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
