import math
import subprocess
import sys

import numpy as np
import pytest

from sol.errors import UnknownNameError
from sol.validator.metrics import vmaf
from sol.validator.metrics.metric_error import MetricError
from sol.validator.metrics.score import score_pair, score_video
from sol.validator.metrics.table import PAIRED_METRICS, VIDEO_METRICS


@pytest.fixture
def pair(clip_set):
    clip = clip_set[(0, 0)]
    return clip, np.clip(clip * 0.97, 0, 1)


def test_every_metric_has_a_score_under_its_name(pair):
    assert list(score_video(pair[0], VIDEO_METRICS)) == list(VIDEO_METRICS)
    scores = score_pair(*pair, PAIRED_METRICS)
    assert list(scores) == list(PAIRED_METRICS)
    assert all(type(score) is float and math.isfinite(score) for score in scores.values())


def test_only_the_names_asked_for_are_scored(pair):
    assert list(score_pair(*pair, ["vmaf_neg", "psnr"])) == ["vmaf_neg", "psnr"]
    assert score_video(pair[0], []) == {}


def test_both_vmaf_numbers_cost_one_call(pair, monkeypatch):
    calls = []
    run = vmaf.run_ffmpeg
    monkeypatch.setattr(vmaf, "run_ffmpeg", lambda *args: calls.append(args) or run(*args))
    score_pair(*pair, ["vmaf", "psnr", "vmaf_neg"])
    assert len(calls) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_gives_no_number(pair, value):
    broken = pair[1].copy()
    broken[4, 3, 3, 0] = value
    for scores in (
        score_video(broken, VIDEO_METRICS),
        score_pair(pair[0], broken, PAIRED_METRICS),
        score_pair(broken, pair[0], PAIRED_METRICS),
    ):
        assert all(map(math.isnan, scores.values()))


def test_unknown_names_list_the_known_ones(pair):
    with pytest.raises(UnknownNameError, match=r"video metric 'sharpnes'. Known: sharpness"):
        score_video(pair[0], ["sharpnes"])
    with pytest.raises(UnknownNameError, match=r"paired metric 'motion'"):
        score_pair(*pair, ["motion"])


@pytest.mark.parametrize("index", [np.s_[:-1], np.s_[:, :40], np.s_[:, :, :40]])
def test_videos_of_two_shapes_are_no_pair(pair, index):
    with pytest.raises(MetricError, match=r"A pair has one shape"):
        score_pair(pair[0], pair[1][index], ["colour_shift"])


def test_scoring_leaves_the_videos_alone(pair):
    before = [video.copy() for video in pair]
    score_video(pair[0], VIDEO_METRICS)
    score_pair(*pair, PAIRED_METRICS)
    for video, copy in zip(pair, before, strict=True):
        np.testing.assert_array_equal(video, copy)


SCORE_AGAIN = """
import sys
import numpy as np
import torch
from sol.validator.metrics.score import score_pair, score_video
from sol.validator.metrics.table import PAIRED_METRICS, VIDEO_METRICS
torch.set_num_threads(2)
a, b = np.load(sys.argv[1])
print(repr((score_video(a, VIDEO_METRICS), score_pair(a, b, PAIRED_METRICS))))
"""


def test_scores_are_the_same_bit_for_bit_here_and_in_another_process(pair, tmp_path):
    def score():
        return score_video(pair[0], VIDEO_METRICS), score_pair(*pair, PAIRED_METRICS)

    np.save(tmp_path / "pair.npy", np.stack(pair))
    command = [sys.executable, "-c", SCORE_AGAIN, tmp_path / "pair.npy"]
    other = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    assert repr(score()) == repr(score()) == other.stdout.strip()
