from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import LTXPipeline

import sol.models.pocket
from sol.models.pocket.data.captions import VOCABULARY
from sol.models.pocket.prompts import calibration_prompts, held_out_prompts, held_out_scenes
from sol.models.pocket.sampling import Sampling, generate
from sol.models.pocket.training.export import export_weights
from sol.models.pocket.workload import LONG
from sol.validator.metrics.pocket.reading import read_clip
from sol.validator.metrics.pocket.score import find_hits

WEIGHTS = Path(sol.models.pocket.__file__).parent / "weights"
MAX_BYTES = 12 * 2**20


def load() -> LTXPipeline:
    return LTXPipeline.from_pretrained(
        WEIGHTS, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )


@pytest.fixture(scope="module")
def pipeline():
    return load()


def test_weights_are_small():
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*")) <= MAX_BYTES


def test_every_component_loads_in_float32(pipeline):
    for module in (pipeline.transformer, pipeline.vae, pipeline.text_encoder):
        assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_the_tokenizer_knows_every_word(pipeline):
    ids = pipeline.tokenizer(" ".join(VOCABULARY)).input_ids
    assert pipeline.tokenizer.unk_token_id not in ids
    assert pipeline.tokenizer("").input_ids == [pipeline.tokenizer.eos_token_id]


def test_two_loads_make_the_same_video(pipeline):
    prompt = calibration_prompts(1)
    np.testing.assert_array_equal(*(next(generate(p, prompt)) for p in (pipeline, load())))


def test_exported_weights_replace_the_old_and_keep_the_card(pipeline, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "README.md").write_text("card")
    (folder / "stale.bin").write_text("old")
    export_weights(pipeline, folder)
    assert (folder / "README.md").read_text() == "card"
    assert not (folder / "stale.bin").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_videos_show_what_the_prompts_name(pipeline):
    n = 8
    readings = [read_clip(video) for video in generate(pipeline, held_out_prompts(n))]
    hits = [find_hits(*pair) for pair in zip(readings, held_out_scenes(n), strict=True)]
    assert np.mean([hit.colour for hit in hits]) > 0.7
    assert np.mean([hit.motion for hit in hits]) > 0.5
    assert np.mean([hit.shape for hit in hits]) > 0.5
    assert np.mean([hit.count for hit in hits]) > 0.7


def test_the_same_weights_make_long_videos(pipeline):
    prompt = "a large red circle moves right over a dark gray background"
    video = next(generate(pipeline, [prompt], Sampling(shape=LONG, steps=12)))
    assert video.shape == (33, 96, 96, 3)
    assert [item.colour for item in read_clip(video).objects] == ["red"]


def test_guidance_and_seed_change_the_video(pipeline):
    prompt = calibration_prompts(1)
    usual, unguided, other = (
        next(generate(pipeline, prompt, sampling))
        for sampling in (
            Sampling(steps=6),
            Sampling(steps=6, guidance_scale=1.0),
            Sampling(steps=6, first_seed=1),
        )
    )
    assert np.abs(usual - unguided).mean() > 0.005
    assert np.abs(usual - other).mean() > 0.005
