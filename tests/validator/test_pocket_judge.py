"""The pocket model's judge against clips whose attributes are known."""

from dataclasses import asdict

import numpy as np
import pytest

from sol.models.pocket.data.clips import make_clip
from sol.models.pocket.data.scenes import (
    COLOURS,
    HUES,
    MOTIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    Background,
    Scene,
    SceneObject,
)
from sol.models.pocket.prompts import held_out_scenes
from sol.models.pocket.workload import LONG
from sol.validator.metrics.pocket.reading import read_clip
from sol.validator.metrics.pocket.score import (
    Hits,
    find_hits,
    pocket_agreement,
    pocket_fit,
)

PLAIN = Background("plain", "gray", "dark", "none")
N_CLIPS = 200
ENOUGH = 0.97


def clip_of(*objects, background=PLAIN, seed=0):
    return make_clip(Scene(tuple(objects), background), np.random.default_rng(seed))


def blur(frames):
    for axis in (1, 2):
        for _ in range(12):
            frames = (np.roll(frames, 1, axis) + 2 * frames + np.roll(frames, -1, axis)) / 4
    return frames


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [make_clip(scene, rng) for scene in held_out_scenes(N_CLIPS)]


def shares(clips, spoil=lambda frames: frames):
    hits = [asdict(find_hits(read_clip(spoil(clip.frames)), clip.scene)) for clip in clips]
    return {name: np.mean([hit[name] for hit in hits]) for name in hits[0]}


def test_clean_clips_are_read_right(clips):
    assert min(shares(clips).values()) >= ENOUGH


def test_places_are_read_right(clips):
    errors = []
    for clip in clips:
        by_colour = {item.colour: item for item in read_clip(clip.frames).objects}
        for item, track in zip(clip.scene.objects, clip.tracks, strict=True):
            errors.append(np.hypot(*(by_colour[item.colour].place - track.centre.mean(axis=0))))
    assert np.mean(np.array(errors) < 0.02) >= ENOUGH


def test_long_clips_are_read_right():
    rng = np.random.default_rng(1)
    clips = [make_clip(scene, rng, LONG) for scene in held_out_scenes(12)]
    assert min(shares(clips).values()) == 1


def test_blurred_clips_are_read_worse(clips):
    some = clips[:60]
    assert shares(some, blur)["shape"] < 0.8 < ENOUGH <= shares(some)["shape"]
    sharp, soft = (np.mean([pocket_fit(f(c.frames)) for c in some[:20]]) for f in (np.array, blur))
    assert soft < sharp - 0.05


def test_frozen_clips_show_no_motion(clips):
    moving = [c for c in clips if all(o.motion != "still" for o in c.scene.objects)][:40]
    frozen = shares(moving, lambda frames: np.repeat(frames[:1], len(frames), axis=0))
    assert frozen["motion"] == 0
    assert frozen["colour"] == 1


@pytest.mark.parametrize("hue", sorted(HUES))
@pytest.mark.parametrize("shade", ["dark", "light"])
@pytest.mark.parametrize("style", ["plain", *TEXTURES])
def test_no_background_is_taken_for_an_object(style, shade, hue):
    ground = Background(style, hue, shade, "none")
    frames = clip_of(SceneObject("circle", "red", "small", "still"), background=ground).frames
    assert read_clip(frames).count == 1


def test_a_clip_without_objects_has_no_fit():
    empty = np.full((5, 64, 64, 3), 0.4, dtype=np.float32)
    assert read_clip(empty).count == 0
    assert pocket_fit(empty) == 0


@pytest.mark.parametrize("colour", sorted(COLOURS))
@pytest.mark.parametrize("size", sorted(SIZES))
def test_every_colour_and_size_is_read(colour, size):
    reading = read_clip(clip_of(SceneObject("ring", colour, size, "still")).frames)
    assert [(item.colour, item.size) for item in reading.objects] == [(colour, size)]


VISIBLE = [
    (shape, motion)
    for shape in SHAPES
    for motion in MOTIONS
    if motion != "rotating" or shape not in ("circle", "ring")
]


@pytest.mark.parametrize(("shape", "motion"), VISIBLE)
def test_every_shape_is_read_in_every_motion(shape, motion):
    item = read_clip(clip_of(SceneObject(shape, "red", "medium", motion)).frames).objects[0]
    assert (item.shape, item.motion) == (shape, motion)


def test_two_objects_of_one_colour_count_as_two():
    frames = clip_of(SceneObject("circle", "red", "small", "still")).frames
    doubled = np.concatenate([frames, frames], axis=2)
    assert read_clip(doubled).count == 2


def test_a_missing_or_surplus_object_is_wrong():
    red = SceneObject("circle", "red", "small", "still")
    blue = SceneObject("star", "blue", "small", "up")
    one, two = clip_of(red), clip_of(red, blue)
    assert find_hits(read_clip(two.frames), two.scene) == Hits(True, True, True, True, True)
    assert find_hits(read_clip(one.frames), two.scene) == Hits(False, False, False, False, False)
    surplus = find_hits(read_clip(two.frames), one.scene)
    assert surplus == Hits(False, True, True, True, True)


def test_objects_with_swapped_attributes_are_wrong():
    clip = clip_of(
        SceneObject("circle", "red", "small", "up"), SceneObject("star", "blue", "small", "still")
    )
    wanted = Scene(
        (
            SceneObject("star", "red", "small", "still"),
            SceneObject("circle", "blue", "small", "up"),
        ),
        PLAIN,
    )
    hits = find_hits(read_clip(clip.frames), wanted)
    assert hits == Hits(count=True, colour=True, shape=False, size=True, motion=False)


def test_agreement_counts_what_two_clips_share():
    here = clip_of(SceneObject("circle", "red", "small", "still"), seed=1).frames
    assert pocket_agreement(here, here) == 1
    assert pocket_agreement(here, np.full_like(here, 0.3)) == 0
    elsewhere = clip_of(SceneObject("star", "red", "small", "still"), seed=2).frames
    assert pocket_agreement(here, elsewhere) == pytest.approx(4 / 6)
    assert pocket_agreement(np.full_like(here, 0.3), here) == 0


def test_pixels_that_are_no_number_give_no_score():
    frames = clip_of(SceneObject("circle", "red", "small", "still")).frames
    broken = frames.copy()
    broken[0, 0, 0, 0] = np.nan
    assert np.isnan(pocket_fit(broken))
    assert np.isnan(pocket_agreement(frames, broken))
