from collections import Counter

import numpy as np
import pytest

from sol.models.pocket.data.captions import VOCABULARY, describe
from sol.models.pocket.data.clips import Clip, make_clip, sample_clip
from sol.models.pocket.data.outlines import reach_of, signed_distance
from sol.models.pocket.data.scenes import (
    COLOURS,
    DIRECTIONS,
    HUES,
    MOTIONS,
    PANS,
    SHAPES,
    SIZES,
    TEXTURES,
    Background,
    Scene,
    SceneObject,
    is_held_out,
    sample_scene,
)
from sol.models.pocket.data.tracks import draw_tracks
from sol.models.pocket.prompts import (
    calibration_prompts,
    calibration_scenes,
    held_out_prompts,
    held_out_scenes,
)
from sol.models.pocket.workload import LONG, MAX_SEQUENCE_LENGTH, SHORT

PLAIN = Background("plain", "gray", "dark", "none")


def draw_clips(seed: int, n: int) -> list[Clip]:
    rng = np.random.default_rng(seed)
    return [sample_clip(rng) for _ in range(n)]


def draw_scenes(seed: int, n: int) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [sample_scene(rng) for _ in range(n)]


def test_clips_repeat_with_the_seed_and_change_with_it():
    first, again, other = (draw_clips(seed, 3) for seed in (0, 0, 1))
    for left, right in zip(first, again, strict=True):
        np.testing.assert_array_equal(left.frames, right.frames)
        assert left.caption == right.caption
    assert [clip.scene for clip in first] != [clip.scene for clip in other]


@pytest.mark.parametrize("shape", [SHORT, LONG])
def test_frames_have_the_shape_asked_for_and_the_range_of_colours(shape):
    rng = np.random.default_rng(2)
    for _ in range(6):
        frames = sample_clip(rng, shape).frames
        assert frames.shape == (shape.num_frames, shape.height, shape.width, 3)
        assert frames.dtype == np.float32
        assert 0 <= frames.min() <= frames.max() <= 1


def test_the_long_clip_has_over_a_thousand_latent_tokens():
    assert np.prod(SHORT.latent_grid) == 320
    assert np.prod(LONG.latent_grid) == 1296


def test_every_attribute_is_drawn():
    scenes = draw_scenes(3, 3000)
    objects = [item for scene in scenes for item in scene.objects]
    assert {item.shape for item in objects} == set(SHAPES)
    assert {item.colour for item in objects} == set(COLOURS)
    assert {item.size for item in objects} == set(SIZES)
    assert {item.motion for item in objects} == set(MOTIONS)
    assert {scene.background.hue for scene in scenes} == set(HUES)
    assert {scene.background.style for scene in scenes} == {"plain", "gradient", *TEXTURES}
    assert {scene.background.pan for scene in scenes} == set(PANS)
    assert 0.25 < Counter(len(scene.objects) for scene in scenes)[2] / len(scenes) < 0.35


def test_what_could_not_be_seen_is_not_drawn():
    for scene in draw_scenes(4, 3000):
        assert scene.background.pan == "none" or scene.background.style in TEXTURES
        assert len({item.colour for item in scene.objects}) == len(scene.objects)
        for item in scene.objects:
            assert item.motion != "rotating" or item.shape not in ("circle", "ring")


def test_scenes_of_two_have_at_most_one_medium_object():
    pairs = [scene.objects for scene in draw_scenes(4, 400) if len(scene.objects) > 1]
    sizes = {tuple(item.size for item in objects) for objects in pairs}
    assert sizes == {("small", "small"), ("small", "medium"), ("medium", "small")}


def test_captions_name_every_attribute_in_known_words():
    rng = np.random.default_rng(5)
    for scene in draw_scenes(5, 500):
        words = describe(scene, rng).split()
        assert set(words) <= set(VOCABULARY)
        assert len(words) < MAX_SEQUENCE_LENGTH
        assert set(_named(scene)) <= set(words)
        for item in scene.objects:
            assert item.size == "medium" or item.size in words


def _named(scene: Scene) -> list[str]:
    ground = scene.background
    words = [ground.hue, *ground.shade.split()]
    words += [] if ground.style == "plain" else [ground.style]
    words += [] if ground.pan == "none" else ["pans", ground.pan]
    for item in scene.objects:
        words += [item.colour, item.shape]
        words += item.motion.split() if item.motion in DIRECTIONS else []
    return words


def test_one_scene_is_worded_in_many_ways_and_two_scenes_never_alike():
    rng = np.random.default_rng(6)
    first, second = draw_scenes(6, 2)
    wordings = {describe(first, rng) for _ in range(50)}
    assert len(wordings) > 10
    assert not wordings & {describe(second, rng) for _ in range(50)}


def test_objects_stay_inside_and_never_touch():
    rng = np.random.default_rng(7)
    for scene in draw_scenes(7, 300):
        tracks = draw_tracks(scene, SHORT.num_frames, rng)
        reaches = []
        for item, track in zip(scene.objects, tracks, strict=True):
            reach = np.array([reach_of(item.shape, r) for r in track.radius])[:, None]
            assert (track.centre - reach > 0).all()
            assert (track.centre + reach < 1).all()
            reaches.append(reach[:, 0])
        if len(tracks) == 2:
            apart = np.hypot(*(tracks[0].centre - tracks[1].centre).T)
            assert (apart > sum(reaches)).all()


def test_objects_that_do_not_fit_are_refused():
    crowd = tuple(SceneObject("star", colour, "large", "growing") for colour in ("red", "blue"))
    with pytest.raises(ValueError, match="fewer or smaller objects"):
        draw_tracks(Scene(crowd, PLAIN), SHORT.num_frames, np.random.default_rng(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_the_area_of_its_disc_and_ends_at_its_reach(shape):
    y, x = np.mgrid[-200:201, -200:201].astype(np.float32) / 100
    inside = signed_distance(shape, x, y, 1.0) < 0
    assert inside.sum() / 100**2 == pytest.approx(np.pi, rel=0.01)
    assert np.hypot(x, y)[inside].max() == pytest.approx(reach_of(shape, 1.0), abs=0.03)


def test_a_pan_moves_the_background_against_the_camera():
    rng = np.random.default_rng(8)
    item = SceneObject("circle", "red", "small", "still")
    frames = make_clip(Scene((item,), Background("striped", "gray", "dark", "left")), rng).frames
    column = frames[:, 0, :, 0]
    shift = [
        np.argmax([np.corrcoef(np.roll(column[0], s), column[k])[0, 1] for s in range(16)])
        for k in (1, 2, 3)
    ]
    assert shift == sorted(shift)
    assert 0 < shift[-1] < 8


def test_prompt_lists_are_fixed_and_disjoint():
    n = 300
    assert held_out_prompts(n)[:5] == held_out_prompts(5)
    assert len(set(held_out_prompts(n))) == n
    assert not set(held_out_prompts(n)) & set(calibration_prompts(n))
    assert all(is_held_out(scene) for scene in held_out_scenes(n))
    assert not any(is_held_out(scene) for scene in calibration_scenes(n))


def test_training_never_draws_a_held_out_scene():
    assert not any(is_held_out(clip.scene) for clip in draw_clips(9, 60))
    share = np.mean([is_held_out(scene) for scene in draw_scenes(9, 2000)])
    assert 0.1 < share < 0.15


def test_a_negative_number_of_prompts_is_refused():
    with pytest.raises(ValueError, match="cannot be negative but is -1"):
        calibration_prompts(-1)
