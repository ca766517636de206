"""What the machine contributes to a pipeline's capabilities."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.util import find_spec

import torch

from sol.models.attention_backends import why_no_attention_backend
from sol.models.precision import precision_obstacles
from sol.roles import Capability


def machine_capabilities(
    device: str, dtype: torch.dtype
) -> tuple[frozenset[Capability], Mapping[Capability, str]]:
    """The capabilities that this device and dtype give, and why the others are absent."""
    reasons = {
        Capability.CUDA: _why_no_cuda(device),
        Capability.INDUCTOR: _why_no_inductor(device),
        Capability.INT8_DYNAMIC_CPU: _why_no_int8(device, dtype),
        Capability.INT8_VNNI: _why_no_vnni(device),
        Capability.PACKED_LINEAR_CPU: _why_no_packed_linear(device, dtype),
        Capability.ATTENTION_BACKENDS: why_no_attention_backend(device, dtype),
        **precision_obstacles(device, dtype),
    }
    present = frozenset(name for name, reason in reasons.items() if reason is None)
    return present, {name: reason for name, reason in reasons.items() if reason is not None}


def _why_no_cuda(device: str) -> str | None:
    return None if device == "cuda" else f"it needs a CUDA device, the pipeline is on {device}"


def _why_no_inductor(device: str) -> str | None:
    if device == "cuda":
        return None if find_spec("triton") else "torch.compile on a GPU needs the triton package"
    if shutil.which("g++") or shutil.which("clang++"):
        return None
    return "torch.compile on a CPU needs a C++ compiler (install g++)"


def _why_no_int8(device: str, dtype: torch.dtype) -> str | None:
    if device != "cpu":
        return f"PyTorch's dynamic int8 linear runs on a CPU, the pipeline is on {device}"
    if dtype != torch.float32:
        return f"PyTorch's dynamic int8 linear takes float32, the pipeline is in {dtype}"
    if torch.backends.quantized.engine in ("x86", "fbgemm", "onednn", "qnnpack"):
        return None
    return "this PyTorch was built without an int8 engine"


def _why_no_vnni(device: str) -> str | None:
    if device != "cpu":
        return f"int8 products with a scale a row are made on a CPU, the pipeline is on {device}"
    if torch.cpu._is_vnni_supported():
        return None
    return "this processor has no int8 dot product (VNNI): without it int8 sums may saturate"


def _why_no_packed_linear(device: str, dtype: torch.dtype) -> str | None:
    if device != "cpu":
        return f"oneDNN's packed linear layer runs on a CPU, the pipeline is on {device}"
    if dtype != torch.float32:
        return f"oneDNN's packed linear layer is used in float32, the pipeline is in {dtype}"
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return None if has_onednn else "this PyTorch was built without oneDNN"
