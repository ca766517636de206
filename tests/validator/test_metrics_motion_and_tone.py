import math
import sys

import numpy as np
import pytest

from sol.validator.metrics.flow import flow_motion
from sol.validator.metrics.metric_error import MetricError
from sol.validator.metrics.tone import brightness_steadiness, colour_shift


def drifting(pixels_a_frame, contrast=1.0, n_frames=6, side=64):
    """A cloudy texture that moves left."""
    rng = np.random.default_rng(0)
    waves = rng.uniform(0.05, 0.5, (24, 2)) * rng.choice([-1, 1], (24, 2))
    phases = rng.uniform(0, 2 * np.pi, 24)
    y, x = np.mgrid[:side, :side]
    frames = []
    for t in range(n_frames):
        angle = waves[:, 0, None, None] * (x + pixels_a_frame * t) + waves[:, 1, None, None] * y
        texture = np.sin(angle + phases[:, None, None]).mean(0)
        frames.append(0.5 + contrast * texture)
    return np.stack(frames)[..., None].repeat(3, -1).astype(np.float32)


@pytest.mark.parametrize("speed", [1.0, 2.0, 3.0])
def test_flow_is_the_speed_beyond_the_dead_zone_in_diagonals(speed):
    expected = (speed - 0.25) / math.hypot(64, 64)
    assert flow_motion(drifting(speed)) == pytest.approx(expected, rel=0.1)


def test_flow_does_not_grow_with_contrast():
    assert flow_motion(drifting(2, 0.4)) == pytest.approx(flow_motion(drifting(2)), rel=0.05)


def test_still_and_noisy_still_videos_do_not_flow():
    still = drifting(0)
    noise = np.random.default_rng(0).uniform(-2 / 255, 2 / 255, still.shape)
    assert flow_motion(still) == 0.0
    assert flow_motion(still + noise) < 0.001 * flow_motion(drifting(2))


def test_flow_does_not_take_flicker_for_motion():
    gain = 1 + 0.05 * (-1.0) ** np.arange(6)
    flickering = drifting(2) * gain[:, None, None, None]
    assert flow_motion(flickering) == pytest.approx(flow_motion(drifting(2)), rel=0.05)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (11, 7)])
def test_flow_takes_any_size(size):
    assert flow_motion(np.zeros((2, *size, 3))) == 0.0


def test_missing_opencv_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MetricError, match=r"opencv-python-headless: pip install"):
        flow_motion(drifting(1))


def test_colour_shift_is_the_largest_cast_of_a_channel():
    clip = drifting(1) * 0.5
    cast = clip + np.array([0.01, -0.03, 0.02])
    assert colour_shift(clip, clip) == 1.0
    assert colour_shift(clip, cast) == pytest.approx(0.97)
    assert colour_shift(cast, clip) == pytest.approx(0.97)


def test_colour_shift_is_calm_where_noise_has_no_mean():
    clip = drifting(1)
    noise = np.random.default_rng(0).normal(0, 4 / 255, clip.shape)
    assert colour_shift(clip, clip + noise) > 0.9995


def test_added_flicker_shows_and_a_constant_offset_does_not():
    clip = drifting(1)
    gain = 1 + 0.05 * (-1.0) ** np.arange(len(clip))
    flickering = clip * gain[:, None, None, None]
    assert brightness_steadiness(clip, clip) == 1.0
    assert brightness_steadiness(clip, clip + 0.1) == pytest.approx(1.0, abs=1e-6)
    assert brightness_steadiness(clip, flickering) == pytest.approx(1 - 0.1 * 0.5, abs=0.01)
    assert brightness_steadiness(flickering, flickering) == 1.0


def test_steadiness_is_the_root_mean_square_change_of_the_offset():
    black = np.zeros((4, 4, 4, 3))
    offset = black + np.array([0.0, 0.1, 0.1, 0.4])[:, None, None, None]
    expected = 1 - math.sqrt((0.1**2 + 0 + 0.3**2) / 3)
    assert brightness_steadiness(black, offset) == pytest.approx(expected)
