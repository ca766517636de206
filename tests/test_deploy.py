"""The three lines of the README, on the shipped recipe."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from example_prompts import PROMPT

import sol
from sol.errors import TargetMismatchError
from sol.runtime.render import render

RECIPE = Path(__file__).parents[1] / "recipes" / "pocket" / "cpu-amd-epyc.yaml"


def call(pipe, steps: int):
    return pipe(
        PROMPT, height=64, width=64, num_frames=17, num_inference_steps=steps, guidance_scale=3.0,
        frame_rate=16, max_sequence_length=32, output_type="np",
        generator=torch.Generator().manual_seed(0),
    ).frames[0]  # fmt: skip


@pytest.fixture(scope="module")
def pipe():
    pipe = sol.load_pipeline("pocket", device="cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_the_shipped_recipe_applies_to_a_stock_pipeline(pipe, caplog):
    recipe = sol.load_recipe(RECIPE)
    before = call(pipe, recipe.target.workload.steps)
    with (
        caplog.at_level(logging.INFO, "sol"),
        sol.apply(pipe, recipe, allow=("hardware",)) as applied,
    ):
        accelerated = call(pipe, recipe.target.workload.steps)
        evidence = applied.evidence()
    assert {member.technique for member in recipe.stack} == set(evidence)
    assert all(item.engaged for item in evidence.values())
    assert not np.array_equal(before, accelerated)
    assert np.array_equal(call(pipe, recipe.target.workload.steps), before)
    assert applied.install_s > 0.0
    assert "Installed regional_compile, planned in " in caplog.text


def test_another_number_of_steps_is_refused(pipe):
    with (
        pytest.raises(TargetMismatchError, match=r"measured with 24, here it is 9\. Pass num_inf"),
        sol.apply(pipe, sol.load_recipe(RECIPE), allow=("hardware",)),
    ):
        call(pipe, 9)


def test_other_weights_are_refused(pocket, tmp_path):
    other = pocket.pipeline.__class__(**pocket.pipeline.components)
    other.save_pretrained(tmp_path / "other")
    config = tmp_path / "other" / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("}", ', "extra": 1}'))
    pipe = sol.load_pipeline(str(tmp_path / "other"), device="cpu")
    with pytest.raises(TargetMismatchError, match=r"target\.model\.weights_digest"):
        sol.apply(pipe, sol.load_recipe(RECIPE), allow=("hardware",))


def test_a_pipeline_saved_and_loaded_anew_renders_the_same(pocket, workload, baseline, tmp_path):
    """The real loading code, on a folder made here."""
    pocket.pipeline.save_pretrained(tmp_path / "copy")
    from sol.models.loading import load_model

    loaded = load_model(str(tmp_path / "copy"), device="cpu")
    assert loaded.model.family == "ltx"
    assert np.array_equal(render(loaded.pipeline, workload, PROMPT, 0).latents, baseline.latents)


def test_a_folder_that_is_no_pipeline_says_so(tmp_path):
    from sol.errors import ModelLoadError

    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelLoadError, match="not a diffusers pipeline folder"):
        sol.load_pipeline(str(tmp_path / "empty"))
