"""Weight files: which are read, what of them is refused, and what identifies them."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import build_tiny

from sol.errors import ModelLoadError
from sol.models.files.safetensors_header import read_header
from sol.models.files.weights import digest_weights, find_safetensors
from sol.models.loading import load_model

PLAIN = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path):
    build_tiny("ltx").save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def weights(folder):
    return folder / "transformer" / PLAIN


def pickle_instead(weights):
    """The same weights as `torch.save` writes them."""
    pickled = weights.with_suffix(".bin")
    torch.save(load_file(weights), pickled)
    weights.unlink()
    return pickled


def damage(path, change):
    path.write_bytes(change(path.read_bytes()))


DAMAGES = {
    "cut off": lambda data: data[:-1],
    "too long": lambda data: data + b"x",
    "empty": lambda data: b"",
    "length of the header only": lambda data: data[:8],
    "absurd header": lambda data: b"\xff" * 8 + data[8:],
    "not JSON": lambda data: data[:8] + b"x" * (len(data) - 8),
    "a list": lambda data: (2).to_bytes(8, "little") + b"[]",
    "without shapes": lambda data: (8).to_bytes(8, "little") + b'{"a":{}}',
    "a page of the Hub": lambda data: b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_weights_are_refused_by_name(how, folder, weights):
    damage(weights, DAMAGES[how])
    with pytest.raises(ModelLoadError, match=f"{PLAIN} is damaged or incomplete: it"):
        load_model(str(folder), device="cpu")


def test_missing_weights_are_refused_by_name(folder, weights):
    weights.unlink()
    with pytest.raises(ModelLoadError, match=r"transformer has no safetensors weights. Fetch"):
        load_model(str(folder), device="cpu")


def test_pickles_are_refused_unless_the_user_insists(folder, weights):
    expected = load_file(weights)
    pickle_instead(weights)
    with pytest.raises(ModelLoadError, match=r"only diffusion_pytorch_model.bin.*--allow-pickle"):
        load_model(str(folder), device="cpu")
    loaded = load_model(str(folder), device="cpu", allow_pickle=True)
    (warning,) = loaded.warnings
    assert warning.startswith("transformer was read from a pickle (diffusion_pytorch_model.bin)")
    read = loaded.pipeline.transformer.state_dict()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())


def test_safetensors_are_read_where_a_pickle_lies_beside_them(folder, weights):
    weights.with_suffix(".bin").write_bytes(b"not a pickle")
    assert load_model(str(folder), device="cpu", allow_pickle=True).warnings == ()


def test_shards_are_read_and_a_missing_one_is_named(tmp_path):
    pipeline = build_tiny("ltx")
    pipeline.save_pretrained(tmp_path, max_shard_size="50KB")
    files = find_safetensors(tmp_path / "transformer")
    assert len(files) > 1
    names = {tensor.name for path in files for tensor in read_header(path)}
    assert names == set(pipeline.transformer.state_dict())
    files[1].unlink()
    with pytest.raises(ModelLoadError, match=f"{files[1].name} is missing: the index beside"):
        load_model(str(tmp_path), device="cpu")


def test_a_damaged_index_of_shards_is_refused(folder):
    index = folder / "transformer" / f"{PLAIN}.index.json"
    index.write_text(json.dumps({"weight_map": []}), encoding="utf-8")
    with pytest.raises(ModelLoadError, match="does not say which files the weights are in"):
        load_model(str(folder), device="cpu")


def test_files_of_a_variant_are_not_read(folder, weights):
    weights.with_name("diffusion_pytorch_model.fp16.safetensors").write_bytes(b"no weights")
    assert find_safetensors(weights.parent) == (weights,)
    load_model(str(folder), device="cpu")


def test_a_header_is_what_was_saved(tmp_path):
    tensors = {
        "half": torch.zeros(2, 3, dtype=torch.bfloat16),
        "count": torch.zeros((), dtype=torch.int64),
    }
    save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    read = {tensor.name: tensor for tensor in read_header(tmp_path / "a.safetensors")}
    half, count = read["half"], read["count"]
    assert (half.dtype, half.n_values, half.n_bytes, half.is_floating) == ("BF16", 6, 12, True)
    assert (count.dtype, count.n_values, count.n_bytes, count.is_floating) == ("I64", 1, 8, False)


def test_the_digest_is_of_the_weights_that_are_read(folder, weights):
    digest = digest_weights(folder)
    weights.with_suffix(".bin").write_bytes(b"not read")
    assert digest_weights(folder) == digest
    weights.unlink()
    of_pickle = digest_weights(folder)
    weights.with_suffix(".bin").write_bytes(b"read now")
    assert len({digest, of_pickle, digest_weights(folder)}) == 3
