import numpy as np
import pytest

from sol.validator.metrics.alignment import in_step
from sol.validator.metrics.flickering import temporal_flickering
from sol.validator.metrics.look import motion, saturation, sharpness


def video(*levels, shape=(12, 12)):
    """Flat grey frames of the given 8-bit levels."""
    return np.stack([np.full((*shape, 3), level / 255, np.float32) for level in levels])


def test_flickering_is_vbenchs_formula_on_8_bit_frames():
    assert temporal_flickering(video(0, 10, 30)) == pytest.approx((255 - 15) / 255)
    assert temporal_flickering(video(7, 7)) == 1.0


def test_flickering_rounds_to_8_bits_as_a_file_would():
    assert temporal_flickering(video(100, 100.4)) == 1.0
    assert temporal_flickering(video(100, 100.6)) == pytest.approx(254 / 255)


def test_sharpness_of_a_ramp_is_its_slope_beyond_the_dead_zone():
    ramp = video(0, 0)
    ramp += (np.arange(12, dtype=np.float32) * 5 / 255)[None, None, :, None]
    assert sharpness(ramp) == pytest.approx(3 / 255, rel=1e-4)
    assert sharpness(ramp.transpose(0, 2, 1, 3)) == pytest.approx(3 / 255, rel=1e-4)


def test_motion_is_the_mean_change_beyond_the_dead_zone():
    assert motion(video(0, 12, 32)) == pytest.approx(14 / 255, rel=1e-4)


def test_rounding_noise_neither_moves_nor_sharpens():
    noise = np.random.default_rng(0).uniform(-0.5 / 255, 0.5 / 255, (4, 12, 12, 3))
    still = video(90, 90, 90, 90) + noise
    assert motion(still) == 0.0
    assert sharpness(still) == 0.0


def test_saturation_is_mean_chroma():
    frames = video(0, 0)
    frames[..., 0] = 0.6
    assert saturation(frames) == pytest.approx(0.6)
    assert saturation(video(200, 10)) == 0.0


def moving_bar():
    frames = np.zeros((6, 12, 12, 3), np.float32)
    for t in range(6):
        frames[t, :, t : t + 4] = 1.0
    return frames


def test_in_step_separates_in_step_from_a_frame_early_or_late():
    bar = moving_bar()
    late = np.concatenate([bar[:1], bar[:-1]])
    early = np.concatenate([bar[1:], bar[-1:]])
    assert in_step(bar, bar) > 0.99
    assert in_step(bar, late) < 0.01
    assert in_step(bar, early) < 0.01


def test_in_step_says_nothing_about_what_does_not_move():
    assert in_step(video(9, 9, 9), video(9, 9, 9)) == 1.0
    assert in_step(video(9, 9), video(50, 60)) == 1.0
    noise = np.random.default_rng(0).normal(0, 0.05, (6, 12, 12, 3)).astype(np.float32)
    still = np.full((6, 12, 12, 3), 0.5, np.float32)
    assert in_step(still, still + noise) > 0.95
    assert in_step(moving_bar(), moving_bar() + noise) == 1.0
