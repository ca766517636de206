"""Which lower precisions a machine is said to have, and why it has not the others."""

from __future__ import annotations

import pytest
import torch

from sol.models.precision import precision_obstacles
from sol.roles import Capability

INT8 = {Capability.TORCHAO, Capability.INT8_TORCHAO}
HALF = {Capability.BFLOAT16, Capability.AUTOCAST}
UP_TO_FP8 = INT8 | {Capability.INT4_TORCHAO, Capability.FP8_TORCHAO}

GPUS = {
    "turing_bf16": ((7, 5), torch.bfloat16, {Capability.TORCHAO}),
    "turing_fp32": ((7, 5), torch.float32, {Capability.TORCHAO, Capability.AUTOCAST}),
    "ampere_bf16": ((8, 0), torch.bfloat16, INT8 | {Capability.INT4_TORCHAO}),
    "ampere_fp32": ((8, 6), torch.float32, INT8 | HALF),
    "ada_bf16": ((8, 9), torch.bfloat16, UP_TO_FP8),
    "hopper_bf16": ((9, 0), torch.bfloat16, UP_TO_FP8),
    "hopper_fp16": ((9, 0), torch.float16, INT8),
    "blackwell_bf16": ((10, 0), torch.bfloat16, UP_TO_FP8 | {Capability.NVFP4_TORCHAO}),
    "desktop_blackwell": ((12, 0), torch.bfloat16, UP_TO_FP8 | {Capability.NVFP4_TORCHAO}),
}


@pytest.fixture(autouse=True)
def _torchao_is_installed(monkeypatch):
    monkeypatch.setattr("sol.models.precision.find_spec", lambda _: object())


def on_gpu(monkeypatch, compute, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: compute)
    return precision_obstacles("cuda", dtype)


def on_cpu(monkeypatch, dtype=torch.float32, *, vnni=False, bf16=False, amx=False):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: vnni)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    return precision_obstacles("cpu", dtype)


def present(obstacles):
    return {capability for capability, reason in obstacles.items() if reason is None}


@pytest.mark.parametrize(("compute", "dtype", "expected"), GPUS.values(), ids=GPUS)
def test_what_a_gpu_has(monkeypatch, compute, dtype, expected):
    assert present(on_gpu(monkeypatch, compute, dtype)) == expected


@pytest.mark.parametrize(
    ("flags", "dtype", "expected"),
    [
        ({}, torch.float32, {Capability.TORCHAO}),
        ({"vnni": True}, torch.float32, INT8),
        ({"bf16": True}, torch.float32, {Capability.TORCHAO} | HALF),
        ({"amx": True}, torch.float32, {Capability.TORCHAO} | HALF),
        ({"bf16": True}, torch.bfloat16, {Capability.TORCHAO}),
    ],
    ids=["plain", "vnni", "avx512_bf16", "amx", "already_bf16"],
)
def test_what_a_cpu_has(monkeypatch, flags, dtype, expected):
    assert present(on_cpu(monkeypatch, dtype, **flags)) == expected


def test_reasons_name_what_is_needed_and_what_is_there(monkeypatch):
    lacks = on_gpu(monkeypatch, (9, 0), torch.bfloat16)
    assert lacks[Capability.NVFP4_TORCHAO] == (
        "nvfp4 needs a CUDA device of compute capability 10.0 (Blackwell), this one has 9.0"
    )
    assert "is in torch.bfloat16" in lacks[Capability.BFLOAT16]
    lacks = on_gpu(monkeypatch, (9, 0), torch.float32)
    assert lacks[Capability.FP8_TORCHAO] == (
        "fp8 by torchao takes bfloat16, the pipeline is in torch.float32: load it so"
    )


def test_reasons_on_a_cpu(monkeypatch):
    lacks = on_cpu(monkeypatch)
    assert lacks[Capability.FP8_TORCHAO].endswith("(Ada or Hopper), the pipeline is on cpu")
    assert "VNNI" in lacks[Capability.INT8_TORCHAO]
    assert "AVX512-BF16 or AMX" in lacks[Capability.AUTOCAST]


def test_without_torchao_every_format_of_it_is_missing(monkeypatch):
    monkeypatch.setattr("sol.models.precision.find_spec", lambda _: None)
    lacks = on_gpu(monkeypatch, (10, 0), torch.bfloat16)
    for capability in set(lacks) - HALF:
        assert lacks[capability].startswith("torchao is not installed: pip install")
