import math

import numpy as np
import pytest
import torch

from sol.measure.fidelity import PSNR_CAP_DB, psnr, relative_l2, ssim


@pytest.fixture
def video():
    return np.random.default_rng(0).random((3, 14, 17, 3), dtype=np.float32)


def direct_ssim(x, y):
    """Wang et al. 2004, equations 13-15, one window at a time."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    scores = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a = x[top : top + 11, left : left + 11]
            b = y[top : top + 11, left : left + 11]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            cov = (window * (a - mean_a) * (b - mean_b)).sum()
            top_part = (2 * mean_a * mean_b + 0.01**2) * (2 * cov + 0.03**2)
            bottom = (mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2)
            scores.append(top_part / bottom)
    return np.mean(scores)


def test_psnr_of_a_known_error(video):
    assert psnr(np.zeros_like(video), np.full_like(video, 0.1)) == pytest.approx(20.0, abs=1e-5)


def test_psnr_pools_the_error_of_all_frames(video):
    other = video.copy()
    other[0] += 0.3
    expected = -10 * math.log10(0.09 / 3)
    assert psnr(video, other) == pytest.approx(expected, abs=1e-4)


def test_identical_videos_score_the_cap(video):
    assert psnr(video, video) == PSNR_CAP_DB
    assert ssim(video, video) == pytest.approx(1.0)


def test_nan_is_never_hidden_by_the_cap(video):
    broken = video.copy()
    broken[1, 2, 3, 0] = np.nan
    assert math.isnan(psnr(video, broken))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ssim_equals_the_direct_formula(video, dtype):
    rng = np.random.default_rng(1)
    x = video.astype(dtype)
    y = np.clip(x * 0.8 + 0.1 + rng.normal(0, 0.1, x.shape), 0, 1).astype(dtype)
    expected = np.mean(
        [
            direct_ssim(x[t, ..., c].astype(float), y[t, ..., c].astype(float))
            for t in range(3)
            for c in range(3)
        ]
    )
    assert 0.2 < expected < 0.95
    assert ssim(x, y) == pytest.approx(expected, abs=1e-9)


def test_ssim_is_stable_on_flat_frames(video):
    flat = np.full_like(video, 0.7)
    assert ssim(flat, flat + np.float32(1e-4)) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_other_shapes_are_refused_with_both(video, metric):
    with pytest.raises(ValueError, match=r"\(3, 14, 17, 3\) and \(2, 14, 17, 3\)"):
        metric(video, video[:2])


def test_ssim_refuses_frames_smaller_than_its_window(video):
    with pytest.raises(ValueError, match="11x11"):
        ssim(video[:, :10], video[:, :10])


@pytest.mark.parametrize(
    ("reference", "other", "expected"),
    [([3.0, 4.0], [3.0, 4.5], 0.1), ([3.0, 4.0], [0.0, 0.0], 1.0), ([0.0], [0.0], 0.0)],
)
def test_relative_l2(reference, other, expected):
    assert relative_l2(torch.tensor(reference), torch.tensor(other)) == pytest.approx(expected)


def test_relative_l2_of_a_zero_reference_is_infinite():
    assert relative_l2(torch.zeros(2), torch.ones(2)) == math.inf


def test_relative_l2_does_not_overflow_in_half_precision():
    big = torch.full((1000,), 6e4, dtype=torch.float16)
    assert relative_l2(big, big / 2) == pytest.approx(0.5)
