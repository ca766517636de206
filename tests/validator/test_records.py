import json
import pickle
from dataclasses import asdict

import numpy as np
import pytest

from sol.errors import SolError
from sol.validator.records import compare_pair

METRICS = ("saturation", "psnr")


@pytest.fixture
def frames(clip_set):
    return clip_set[(0, 0)]


def test_a_pair_has_the_metrics_asked_for(frames):
    record = compare_pair("a fox", 3, frames, frames * 0.9, METRICS)
    assert (record.prompt, record.seed, record.problems) == ("a fox", 3, ())
    assert set(record.baseline) == set(record.accelerated) == {"saturation"}
    assert set(record.paired) == {"psnr"}
    in_8_bits = 0.5 / 255
    wanted = 0.9 * record.baseline["saturation"]
    assert record.accelerated["saturation"] == pytest.approx(wanted, abs=in_8_bits)


def test_both_sides_are_measured_as_they_are_kept(frames):
    less_than_half_a_level = frames + 0.4 / 255 * (np.rint(frames * 255) == frames * 255)
    kept = np.rint(frames * 255) / 255
    record = compare_pair("a fox", 3, kept, np.clip(kept + 0.4 / 255, 0, 1), METRICS)
    assert record.paired["psnr"] == 100.0
    assert less_than_half_a_level.shape == frames.shape


def test_a_record_survives_pickle_and_json(frames):
    record = compare_pair("a fox", 3, frames, frames, METRICS)
    assert pickle.loads(pickle.dumps(record)) == record
    assert json.loads(json.dumps(asdict(record), allow_nan=False))["seed"] == 3


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(lambda f: f[:-1], "accelerated: shape"), (lambda f: f * np.nan, "accelerated: 62208 of")],
)
def test_what_cannot_be_measured_has_problems_and_no_metrics(frames, damage, problem):
    record = compare_pair("a fox", 3, frames, damage(frames), METRICS)
    assert [p.startswith(problem) for p in record.problems] == [True]
    assert record.baseline == record.accelerated == record.paired == {}


def test_a_broken_baseline_is_a_problem_too(frames):
    record = compare_pair("a fox", 3, frames * 0, frames, METRICS)
    assert record.problems == ("baseline: black: no pixel is brighter than 2 of 255",)


@pytest.mark.parametrize("index", [np.s_[:1], np.s_[0]])
def test_what_is_no_video_is_refused(frames, index):
    with pytest.raises(SolError, match="raise num_frames"):
        compare_pair("a fox", 3, frames[index], frames[index], METRICS)
