"""What a pipeline folder says it holds, and what of it is refused before anything is imported."""

from __future__ import annotations

import json

import diffusers
import pytest
from tiny_models import build_tiny

from sol.errors import ModelLoadError
from sol.models.catalog import NOT_LOADABLE
from sol.models.files.model_index import read_index
from sol.models.files.model_source import check_model_name
from sol.models.loading import default_workload, load_model

LTX = {
    "_class_name": "LTXPipeline",
    "_diffusers_version": "0.42.1",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "safety_checker": [None, None],
    "sizes": [1, 2],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "transformer": ["diffusers", "LTXVideoTransformer3DModel"],
}


def write_index(folder, **changes):
    (folder / "model_index.json").write_text(json.dumps({**LTX, **changes}), encoding="utf-8")
    return folder


def test_the_parts_with_weights_are_told_from_the_others(tmp_path):
    index = read_index(write_index(tmp_path))
    assert index.class_name == "LTXPipeline"
    assert [part.name for part in index.parts] == ["scheduler", "text_encoder", "transformer"]
    assert [part.name for part in index.models] == ["text_encoder", "transformer"]


def test_a_part_may_live_beside_its_pipeline(tmp_path):
    index = read_index(write_index(tmp_path, vocoder=["ltx2", "LTX2Vocoder"]))
    assert "vocoder" in [part.name for part in index.models]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"_class_name": ["pipeline", "MyPipeline"]}, id="a pipeline of its own"),
        pytest.param({"transformer": ["my_model", "MyModel"]}, id="a module of its own"),
        pytest.param({"transformer": ["os", "system"]}, id="a module that is installed"),
        pytest.param({"transformer": ["../x", "MyModel"]}, id="a path"),
        pytest.param({"transformer": ["diffusers.hooks", "ModelHook"]}, id="a submodule"),
    ],
)
@pytest.mark.parametrize("read", [default_workload, load_model])
def test_code_that_comes_with_a_model_is_refused(read, changes, tmp_path):
    write_index(tmp_path, **changes)
    with pytest.raises(ModelLoadError, match="runs no code that comes with a model"):
        read(str(tmp_path))


def test_a_file_in_the_place_of_a_library_is_refused(tmp_path):
    write_index(tmp_path)
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "diffusers.py").write_text("raise SystemExit", encoding="utf-8")
    with pytest.raises(ModelLoadError, match=r"transformer is diffusers.LTXVideoTransformer3DMo"):
        load_model(str(tmp_path), device="cpu")


def test_trust_in_remote_code_is_never_given(tmp_path, monkeypatch):
    seen = []
    original = diffusers.DiffusionPipeline.from_pretrained.__func__

    def watch(cls, *args, **kwargs):
        seen.append(kwargs)
        return original(cls, *args, **kwargs)

    build_tiny("ltx").save_pretrained(tmp_path)
    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", classmethod(watch))
    load_model(str(tmp_path), device="cpu", allow_pickle=True)
    assert seen
    assert all("trust_remote_code" not in kwargs for kwargs in seen)
    assert all("custom_pipeline" not in kwargs for kwargs in seen)


def test_a_folder_of_a_modular_pipeline_says_so(tmp_path):
    (tmp_path / "modular_model_index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelLoadError, match="blocks of a modular pipeline"):
        load_model(str(tmp_path), device="cpu")


def test_an_index_that_names_a_modular_pipeline_says_so(tmp_path):
    write_index(tmp_path, _class_name="MiniMaxH3ModularPipeline")
    with pytest.raises(ModelLoadError, match="MiniMaxH3ModularPipeline cannot be loaded: diffus"):
        load_model(str(tmp_path), device="cpu")


@pytest.mark.parametrize("name", NOT_LOADABLE)
def test_what_cannot_be_loaded_says_why_before_anything_starts(name):
    for refuse in (check_model_name, default_workload, load_model):
        with pytest.raises(ModelLoadError, match=f"{name} cannot be loaded: diffusers has it"):
            refuse(name)
