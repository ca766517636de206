"""Whether a model fits is known before its weights are read."""

from __future__ import annotations

import re

import pytest
import torch
from tiny_models import build_tiny
from torch import nn

from sol.errors import ModelLoadError
from sol.models.files.model_index import read_index
from sol.models.loading import load_model
from sol.models.memory.memory_estimate import (
    HEAD_ROOM,
    PartSize,
    estimate_device_bytes,
    estimate_parts,
    require_room,
)

GIB = 1024**3
PARTS = (
    PartSize("vae", 1 * GIB, GIB // 8),
    PartSize("transformer", 20 * GIB, GIB),
    PartSize("text_encoder", 10 * GIB, GIB // 2),
)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("family", ["ltx", "wan", "sana_video"])
def test_the_estimate_is_what_is_loaded(family, dtype, tmp_path):
    build_tiny(family).save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), device="cpu", dtype=dtype)
    components = loaded.pipeline.components
    models = {name: part for name, part in components.items() if isinstance(part, nn.Module)}
    estimated = {size.name: size.n_bytes for size in loaded.sizes}
    assert set(estimated) == set(models)
    for name, module in models.items():
        # T5's shared embedding is in the state dict twice, and in the file once.
        assert estimated[name] == pytest.approx(_distinct_bytes(module), rel=0.01)


def _distinct_bytes(module):
    tensors = module.state_dict().values()
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


def test_what_a_class_keeps_in_float32_is_not_halved(tmp_path):
    build_tiny("wan").save_pretrained(tmp_path)
    index = read_index(tmp_path)
    full, half = (
        {size.name: size.n_bytes for size in estimate_parts(tmp_path, index, dtype)}
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert half["text_encoder"] * 2 == full["text_encoder"]
    assert full["transformer"] / 2 < half["transformer"] < full["transformer"]


def test_a_pickle_counts_as_large_as_it_is(tmp_path):
    build_tiny("ltx").save_pretrained(tmp_path)
    (weights,) = (tmp_path / "vae").glob("*.safetensors")
    weights.unlink()
    (tmp_path / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"x" * 1000)
    sizes = estimate_parts(tmp_path, read_index(tmp_path), torch.bfloat16)
    assert {size.name: size.n_bytes for size in sizes}["vae"] == 1000


@pytest.mark.parametrize(
    ("offload", "weights"),
    [(None, 31 * GIB), ("model", 20 * GIB), ("sequential", GIB), ("group", 2 * GIB)],
)
def test_offloading_needs_less_of_the_device(offload, weights):
    assert estimate_device_bytes(PARTS, offload) == pytest.approx((1 + HEAD_ROOM) * weights)


@pytest.mark.parametrize(
    ("device", "offload", "free", "message"),
    [
        pytest.param(
            "cuda", None, {"cuda": 24, "cpu": 99},
            "needs about 34.10 GiB of memory on cuda, where 24.00 GiB are free. Its weights are "
            "transformer 20.00, text_encoder 10.00, vae 1.00 GiB, and 10% more for a video is "
            "assumed. Use --offload model, sequential or group (not with sol tune), --dtype ",
            id="the GPU is too small",
        ),
        pytest.param(
            "cuda", "model", {"cuda": 26, "cpu": 16},
            "needs about 31.00 GiB of memory on cpu, where 16.00 GiB are free. Its weights are "
            "transformer 20.00, text_encoder 10.00, vae 1.00 GiB to load it. Use --dtype",
            id="the host is too small",
        ),
        pytest.param(
            "cpu", None, {"cpu": 34},
            "assumed. Use --dtype bfloat16 if it is float32, or a smaller model.",
            id="no offloading from a CPU",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_remedies(device, offload, free, message):
    with pytest.raises(ModelLoadError, match=re.escape(message)):
        require_room("org/name", PARTS, device, offload, lambda place: free[place] * GIB)


@pytest.mark.parametrize(
    ("device", "offload", "free"),
    [
        ("cuda", None, {"cuda": 35, "cpu": 31}),
        ("cuda", "model", {"cuda": 23, "cpu": 31}),
        ("cpu", None, {"cpu": 35}),
    ],
)
def test_what_fits_passes(device, offload, free):
    require_room("org/name", PARTS, device, offload, lambda place: free[place] * GIB)


def test_where_nobody_says_what_is_free_nothing_is_refused():
    require_room("org/name", PARTS, "cpu", None, lambda _: None)


def test_too_little_memory_is_known_before_weights_are_read(tmp_path, monkeypatch):
    build_tiny("ltx").save_pretrained(tmp_path)

    def read(*_args):
        raise AssertionError("the weights were read")

    monkeypatch.setattr("sol.models.loading.read_pipeline", read)
    monkeypatch.setattr("sol.models.memory.free_memory.find_free_host_bytes", lambda: 1000)
    with pytest.raises(ModelLoadError, match=r"GiB of memory on cpu, where 0.00 GiB are free"):
        load_model(str(tmp_path), device="cpu")
