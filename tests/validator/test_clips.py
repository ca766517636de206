import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from sol.validator.clips import GAP_PX, side_by_side_webp


def frames_of(data):
    with Image.open(io.BytesIO(data)) as image:
        return [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(image)]


def noise(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32) / 255


def test_both_sides_are_stored_without_loss_and_in_step():
    left, right = noise(0, (4, 256, 300, 3)), noise(1, (4, 256, 300, 3))
    stored = frames_of(side_by_side_webp(left, right, fps=8))
    assert len(stored) == 4
    for t, image in enumerate(stored):
        assert np.array_equal(image[:, :300], np.rint(left[t] * 255))
        assert np.array_equal(image[:, 300 + GAP_PX :], np.rint(right[t] * 255))


def test_small_videos_grow_by_whole_pixels():
    left, right = noise(0, (2, 48, 64, 3)), noise(1, (2, 48, 64, 3))
    image = frames_of(side_by_side_webp(left, right, fps=8))[0]
    assert image.shape == (4 * 48, 2 * 4 * 64 + GAP_PX, 3)
    assert np.array_equal(image[::4, : 4 * 64 : 4], np.rint(left[0] * 255))


def test_the_frame_rate_is_kept():
    left, right = noise(0, (3, 16, 16, 3)), noise(1, (3, 16, 16, 3))
    with Image.open(io.BytesIO(side_by_side_webp(left, right, fps=16))) as image:
        image.load()
        assert image.info["duration"] == pytest.approx(1000 / 16, abs=1)


def test_broken_pixels_are_black_and_do_not_crash():
    left, right = noise(0, (2, 256, 256, 3)), np.full((2, 256, 256, 3), np.nan, np.float32)
    image = frames_of(side_by_side_webp(left, right, fps=8))[0]
    assert not image[:, -256:].any()


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="Shapes differ"):
        side_by_side_webp(noise(0, (2, 16, 16, 3)), noise(0, (3, 16, 16, 3)), fps=8)
