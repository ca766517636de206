"""Loading a folder of every family: its weights, its family and its workload."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from example_prompts import PROMPT
from tiny_models import FAMILIES, VARIANTS, build_tiny, build_tiny_experts, tiny_workload

from sol.errors import ModelLoadError, NotApplicableError
from sol.models.catalog import CATALOG, FAMILY_WORKLOADS
from sol.models.families import get_family
from sol.models.loading import default_workload, load_model
from sol.runtime.render import render

WORKLOADS = FAMILY_WORKLOADS


needs_accelerate = pytest.mark.skipif(
    find_spec("accelerate") is None, reason="diffusers loads Wan with accelerate only"
)


@needs_accelerate
@pytest.mark.parametrize("family", [*FAMILIES, *VARIANTS])
def test_a_saved_pipeline_comes_back_the_same(family, tmp_path):
    pipeline = build_tiny(family)
    pipeline.save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), device="cpu")
    name = get_family(pipeline).name
    assert loaded.model.family == name
    assert loaded.workload == WORKLOADS[name].with_overrides({"dtype": "float32"})
    workload = tiny_workload(family)
    before = render(pipeline, workload, PROMPT, 0)
    after = render(loaded.pipeline, workload, PROMPT, 0)
    assert np.array_equal(after.latents, before.latents)
    assert np.array_equal(after.frames, before.frames)


@needs_accelerate
@pytest.mark.parametrize("missing", [None, "transformer", "transformer_2"])
def test_saved_experts_come_back_as_they_were(missing, tmp_path):
    pipeline = build_tiny_experts()
    if missing:
        # One expert for all noise levels.
        pipeline.register_modules(**{missing: None})
        pipeline.register_to_config(boundary_ratio=None if missing == "transformer_2" else 2.0)
    pipeline.save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), device="cpu").pipeline
    workload = tiny_workload("wan")
    before, after = (render(each, workload, PROMPT, 0) for each in (pipeline, loaded))
    assert np.array_equal(after.latents, before.latents)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_workload_of_a_folder_is_its_familys(family, tmp_path):
    index = f'{{"_class_name": "{type(build_tiny(family)).__name__}"}}'
    (tmp_path / "model_index.json").write_text(index)
    assert default_workload(str(tmp_path)) == WORKLOADS[family]


@pytest.mark.parametrize("name", CATALOG)
def test_the_default_workload_of_a_known_model_is_its_own(name):
    assert default_workload(name) == CATALOG[name].workload


@pytest.mark.parametrize("index", [None, "[]", "{}", "not json"])
@pytest.mark.parametrize("read", [default_workload, load_model])
def test_a_folder_that_is_no_pipeline_is_refused(read, index, tmp_path):
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(ModelLoadError, match="is not a diffusers pipeline folder"):
        read(str(tmp_path))


@pytest.mark.parametrize("read", [default_workload, load_model])
def test_a_family_that_sol_does_not_know_is_refused_before_its_weights_are_read(read, tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "OtherPipeline"}')
    with pytest.raises(NotApplicableError, match="OtherPipeline"):
        read(str(tmp_path))


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    build_tiny("wan").save_pretrained(tmp_path)
    monkeypatch.setattr("sol.models.loading.find_spec", lambda name: None)
    with pytest.raises(ModelLoadError, match="needs accelerate to load a WanPipeline"):
        load_model(str(tmp_path), device="cpu")
