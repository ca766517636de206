"""The names, dtypes and shapes in a safetensors file, without reading its weights.

The file begins with the length of a JSON header in eight bytes, little-endian, then the header,
then the weights: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.errors import ModelLoadError

_LENGTH_BYTES = 8
_LONGEST_HEADER = 100 * 1024**2
"""As in safetensors itself: a longer one is taken for damage."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file; `dtype` as safetensors writes it, such as "BF16"."""

    name: str
    dtype: str
    n_values: int
    n_bytes: int

    @property
    def is_floating(self) -> bool:
        """Whether it is cast to the dtype that a model is loaded in."""
        return self.dtype.startswith(("F", "BF"))


def read_header(path: Path) -> tuple[StoredTensor, ...]:
    """The tensors of a file.

    Raises:
        ModelLoadError: The file is damaged, or shorter than its header says.
    """
    try:
        header, begin = _read_json(path)
        spans = {name: entry["data_offsets"] for name, entry in header.items()}
        tensors = tuple(
            StoredTensor(name, entry["dtype"], math.prod(entry["shape"]), end - start)
            for (name, entry), (start, end) in zip(header.items(), spans.values(), strict=True)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"its header cannot be read ({error})") from error
    expected, present = begin + max((end for _, end in spans.values()), default=0), _size_of(path)
    if present != expected:
        raise _damaged(path, f"it has {present} bytes, and its header says {expected}")
    return tensors


def _read_json(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 0 < length <= _LONGEST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return header, _LENGTH_BYTES + length


def _size_of(path: Path) -> int:
    return path.stat().st_size


def _damaged(path: Path, why: str) -> ModelLoadError:
    return ModelLoadError(
        f"{path} is damaged or incomplete: {why}. Delete it and fetch the model again."
    )
