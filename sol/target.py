"""What a recipe is valid for: one model, one machine, one workload."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import ConfigDict

from sol.errors import ConfigError

# Read by pydantic where these records enter from a file: unknown keys and wrong types are refused.
STRICT = ConfigDict(extra="forbid", strict=True)

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Model:
    """Which weights: `id` is a short name, a Hub id or a folder; `weights_digest` binds."""

    __pydantic_config__ = STRICT

    id: str
    family: str
    revision: str
    weights_digest: str


@dataclass(frozen=True)
class Hardware:
    """The machine, as far as it decides which techniques run and how fast.

    Attributes:
        device: "cpu" or "cuda".
        name: The processor's or accelerator's own name.
        count: Physical or logical cores for a CPU, accelerators of this name otherwise.
        memory_gb: Memory of one device in GiB.
        features: What the device can do natively ("avx512_vnni", "sm_90"), sorted.
    """

    __pydantic_config__ = STRICT

    device: Literal["cpu", "cuda"]
    name: str
    count: int
    memory_gb: float
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workload:
    """One way of calling the pipeline. Frames are pixels of height x width at `frame_rate` Hz."""

    __pydantic_config__ = STRICT

    height: int
    width: int
    num_frames: int
    steps: int
    guidance_scale: float
    frame_rate: int
    max_sequence_length: int
    negative_prompt: str = ""
    dtype: Dtype = "float32"

    def __post_init__(self) -> None:
        for name in ("height", "width", "num_frames", "steps", "frame_rate"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(f"Workload {name} must be at least 1, got {value}.")

    def with_overrides(self, overrides: Mapping[str, Any]) -> Workload:
        """A copy in which the values that are not None replace the present ones."""
        return replace(self, **{k: v for k, v in overrides.items() if v is not None})


@dataclass(frozen=True)
class Target:
    """The unit that Sol tunes for."""

    __pydantic_config__ = STRICT

    model: Model
    hardware: Hardware
    workload: Workload

    @property
    def fingerprint(self) -> str:
        """Equal for equal targets, in any process: 16 hexadecimal digits."""
        return digest_of(asdict(self))[:16]


def digest_of(data: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, independent of key order."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
