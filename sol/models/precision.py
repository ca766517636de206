"""Which lower precisions a device, a pipeline and the installed libraries can compute in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from sol.roles import Capability

ComputeCapability = tuple[int, int]

_AMPERE: ComputeCapability = (8, 0)
_ADA: ComputeCapability = (8, 9)
_BLACKWELL: ComputeCapability = (10, 0)
_NAMES = {_AMPERE: "Ampere", _ADA: "Ada or Hopper", _BLACKWELL: "Blackwell"}


@dataclass(frozen=True)
class _Place:
    """Where a pipeline computes.

    Attributes:
        compute: The CUDA device's compute capability; None on other devices.
    """

    device: str
    dtype: torch.dtype
    compute: ComputeCapability | None


def precision_obstacles(device: str, dtype: torch.dtype) -> Mapping[Capability, str | None]:
    """Why a pipeline of this dtype on this device cannot compute so, or None where it can."""
    compute = torch.cuda.get_device_capability() if device == "cuda" else None
    place = _Place(device, dtype, compute)
    return {
        Capability.TORCHAO: _why_no_torchao(),
        Capability.INT8_TORCHAO: _why_no_torchao() or _why_no_int8(place),
        Capability.FP8_TORCHAO: _why_no_format("fp8", _ADA, place),
        Capability.INT4_TORCHAO: _why_no_format("int4", _AMPERE, place),
        Capability.NVFP4_TORCHAO: _why_no_format("nvfp4", _BLACKWELL, place),
        Capability.BFLOAT16: _why_no_bfloat16(place),
        Capability.AUTOCAST: _why_no_autocast(place),
    }


def _why_no_torchao() -> str | None:
    if find_spec("torchao"):
        return None
    return "torchao is not installed: pip install 'sol-tuner[quantization]'"


def _why_no_format(name: str, least: ComputeCapability, place: _Place) -> str | None:
    reason = _why_no_torchao() or _why_too_old(name, least, place)
    if reason or place.dtype == torch.bfloat16:
        return reason
    return f"{name} by torchao takes bfloat16, the pipeline is in {place.dtype}: load it so"


def _why_too_old(name: str, least: ComputeCapability, place: _Place) -> str | None:
    needs = f"{name} needs a CUDA device of compute capability {_version(least)} ({_NAMES[least]})"
    if place.compute is None:
        return f"{needs}, the pipeline is on {place.device}"
    return None if place.compute >= least else f"{needs}, this one has {_version(place.compute)}"


def _why_no_int8(place: _Place) -> str | None:
    if place.device != "cpu":
        return _why_too_old("int8", _AMPERE, place)
    if torch.cpu._is_vnni_supported():
        return None
    return "this processor has no int8 dot product (VNNI): without it int8 sums may saturate"


def _why_no_bfloat16(place: _Place) -> str | None:
    if place.dtype != torch.float32:
        return f"it lowers the precision of float32, and the pipeline is in {place.dtype}"
    if place.device != "cpu":
        return _why_too_old("bfloat16", _AMPERE, place)
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return None
    return "this processor has no bfloat16 arithmetic (AVX512-BF16 or AMX), and would be slower"


def _why_no_autocast(place: _Place) -> str | None:
    """Before Ampere, GPUs have float16 alone."""
    if place.compute is not None and place.dtype == torch.float32:
        return None
    return _why_no_bfloat16(place)


def _version(compute: ComputeCapability) -> str:
    return f"{compute[0]}.{compute[1]}"
