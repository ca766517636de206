import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import LTXPipeline

import sol.models.pocket
from sol.models.pocket.clips import Clip, render, sample_clip
from sol.models.pocket.evaluation import generate
from sol.models.pocket.export import export_weights
from sol.models.pocket.pacing import Pace, learning_rate_factor
from sol.models.pocket.prompts import (
    calibration_prompts,
    calibration_scenes,
    held_out_prompts,
    held_out_scenes,
)
from sol.models.pocket.reading import read_colour, read_direction, read_displacement_px
from sol.models.pocket.scenes import COLOURS, DIRECTIONS, VOCABULARY, Scene, SceneObject
from sol.models.pocket.workload import HEIGHT, NUM_FRAMES, WIDTH

WEIGHTS = Path(sol.models.pocket.__file__).parent / "weights"
MAX_BYTES = 12 * 2**20


def load() -> LTXPipeline:
    return LTXPipeline.from_pretrained(
        WEIGHTS, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )


@pytest.fixture(scope="module")
def pipeline():
    return load()


def draw_clips(seed: int, n: int) -> list[Clip]:
    rng = np.random.default_rng(seed)
    return [sample_clip(rng) for _ in range(n)]


def test_clips_repeat_with_the_seed_and_change_with_it():
    first, again, other = (draw_clips(seed, 3) for seed in (0, 0, 1))
    for left, right in zip(first, again, strict=True):
        np.testing.assert_array_equal(left.frames, right.frames)
        assert left.caption == right.caption
    assert [clip.scene for clip in first] != [clip.scene for clip in other]


def test_frames_have_the_workload_shape_and_range():
    for clip in draw_clips(2, 20):
        assert clip.frames.shape == (NUM_FRAMES, HEIGHT, WIDTH, 3)
        assert clip.frames.dtype == np.float32
        assert 0 <= clip.frames.min() <= clip.frames.max() <= 1


def test_captions_name_every_attribute_in_known_words():
    for clip in draw_clips(3, 200):
        words = clip.caption.split()
        item = clip.scene.objects[0]
        assert {item.colour, item.shape, *clip.scene.background.split()} <= set(words)
        assert item.direction == "still" or set(item.direction.split()) <= set(words)
        assert item.size == "medium" or item.size in words
        assert set(words) <= set(VOCABULARY)


def test_frames_show_the_colour_and_direction_of_their_scene():
    for clip in draw_clips(4, 100):
        item = clip.scene.objects[0]
        assert read_colour(clip.frames) == item.colour, clip.caption
        assert read_direction(clip.frames) == item.direction, clip.caption


def test_objects_may_overlap_and_are_painted_back_to_front():
    objects = tuple(SceneObject("circle", colour, "large", "still") for colour in COLOURS)
    frames = render(Scene(objects, "black"), np.random.default_rng(0))
    assert np.isfinite(frames).all()


def test_prompt_lists_are_fixed_and_disjoint():
    n = 500
    assert held_out_prompts(n)[:5] == held_out_prompts(5)
    assert len(set(held_out_prompts(n))) == n
    assert not set(held_out_prompts(n)) & set(calibration_prompts(n))
    assert not set(held_out_scenes(n)) & set(calibration_scenes(n))


def test_asking_for_too_many_prompts_says_how_many_there_are():
    with pytest.raises(ValueError, match="between 0 and 2592 but is 9999"):
        calibration_prompts(9999)


def test_pace_counts_the_time_before_a_restart():
    clock = itertools.count(0.0, 30.0)
    pace = Pace(budget_s=100.0, spent_s=40.0, now=lambda: next(clock))
    assert pace.progress() == pytest.approx(0.7)
    assert pace.is_over()


def test_learning_rate_rises_then_falls():
    rates = [learning_rate_factor(progress) for progress in (0.0, 0.02, 0.5, 1.0)]
    assert rates[0] < rates[2] < rates[1]
    assert rates[3] == pytest.approx(0.02)


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
    np.testing.assert_array_equal(generate(pipeline, prompt)[0], generate(load(), prompt)[0])


def test_exported_weights_replace_the_old_and_keep_the_card(pipeline, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "README.md").write_text("card")
    (folder / "stale.bin").write_text("old")
    export_weights(pipeline, folder)
    assert (folder / "README.md").read_text() == "card"
    assert not (folder / "stale.bin").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


CLEAR_PROMPTS = [
    ("a large red circle moves right over a black background", "red", "right"),
    ("a large green square slides left over a white background", "green", "left"),
    ("a large yellow circle drifts up over a dark blue background", "yellow", "up"),
    ("a large blue square moves down over a white background", "blue", "down"),
]


def test_videos_follow_the_colour_and_direction_of_clear_prompts(pipeline):
    videos = generate(pipeline, [prompt for prompt, _, _ in CLEAR_PROMPTS])
    for video, (prompt, colour, direction) in zip(videos, CLEAR_PROMPTS, strict=True):
        assert np.isfinite(video).all()
        assert read_colour(video) == colour, prompt
        assert np.dot(read_displacement_px(video), DIRECTIONS[direction]) > 5, prompt
