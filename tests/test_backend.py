"""Which back-end a gate gets, and what VBench's scores are called there."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sol.commands import backend
from sol.commands.backend import choose_scorer
from sol.errors import SolError, UnknownNameError
from sol.lossless_video import VideoFileError, write_lossless
from sol.stages import vbench_scorer
from sol.stages.evidence import VideoToScore
from sol.stages.vbench_scorer import VBenchScorer, needed_dimensions
from sol.validator.profile import load_profile
from sol.validator.vbench.dimensions import DIMENSIONS
from sol.validator.vbench.environment import VBenchEnv

PROFILE = load_profile("near-lossless")


@pytest.fixture
def env(tmp_path, monkeypatch):
    """A complete environment, with the weights of so many dimensions."""
    found = VBenchEnv(tmp_path, tmp_path / "python")

    def make(*dimensions):
        monkeypatch.setattr(backend, "find_vbench", lambda root: found)
        monkeypatch.setattr(backend, "get_vbench", lambda root: found)
        monkeypatch.setattr(backend, "available_dimensions", lambda env: dimensions)
        return tmp_path

    return make


def test_the_shipped_gates_ask_for_every_dimension():
    assert needed_dimensions(PROFILE) == tuple(DIMENSIONS)


def test_auto_takes_vbench_where_all_that_is_asked_for_can_run(env):
    scorer = choose_scorer("auto", PROFILE, env(*DIMENSIONS), "cuda")
    assert isinstance(scorer, VBenchScorer)
    assert (scorer.dimensions, scorer.device) == (tuple(DIMENSIONS), "cuda")


def test_auto_goes_without_where_it_is_not_set_up_or_weights_are_missing(env, tmp_path):
    assert choose_scorer("auto", PROFILE, tmp_path, None) is None
    assert choose_scorer("auto", PROFILE, env("temporal_flickering"), None) is None
    assert choose_scorer("embedded", PROFILE, env(*DIMENSIONS), None) is None


def test_to_insist_without_the_weights_names_them_and_the_remedy(env):
    with pytest.raises(SolError, match=r"dynamic_degree.*sol vbench prefetch.*--backend embedded"):
        choose_scorer("vbench", PROFILE, env("temporal_flickering"), None)


def test_to_insist_where_nothing_is_set_up_says_how(tmp_path):
    with pytest.raises(SolError, match="sol vbench setup"):
        choose_scorer("vbench", PROFILE, tmp_path, None)


def test_to_insist_with_a_profile_that_has_no_rules_for_it_is_refused(env):
    with pytest.raises(SolError, match="has no rules for VBench"):
        choose_scorer("vbench", replace(PROFILE, vbench=()), env(*DIMENSIONS), None)


def test_an_unknown_back_end_lists_the_known_ones(tmp_path):
    with pytest.raises(UnknownNameError, match=r"'vbnch'.*Known: vbench"):
        choose_scorer("vbnch", PROFILE, tmp_path, None)


@pytest.fixture
def video(tmp_path):
    frames = np.random.default_rng(0).random((4, 16, 16, 3)).astype(np.float32)
    path = tmp_path / "video.mp4"
    write_lossless(frames, path, 8.0)
    return VideoToScore(path, "a fox")


@pytest.fixture
def asked(monkeypatch):
    """The ids that were sent to VBench, call by call; it scores all alike."""
    calls = []

    def score(env, videos, dimensions, timeout_s, device):
        calls.append([video.id for video in videos])
        scores = {video.id: dict.fromkeys(dimensions, 0.8) for video in videos}
        versions, weights = {"vbench": "0.1.5"}, {"amt-s.pth": "sha256:ab"}
        return SimpleNamespace(by_video=scores, versions=versions, weights=weights)

    monkeypatch.setattr(vbench_scorer, "score_videos", score)
    return calls


def test_scores_are_named_as_a_profile_names_them(asked, video, tmp_path):
    scorer = VBenchScorer(VBenchEnv(tmp_path, tmp_path), ("temporal_flickering",))
    scores = scorer.score({"a": video})["a"]
    assert scores["vbench_temporal_flickering"] == 0.8
    assert scores["vbench_quality"] == pytest.approx((0.8 - 0.6293) / (1 - 0.6293))


def test_without_a_quality_dimension_there_is_no_aggregate(asked, video, tmp_path):
    scorer = VBenchScorer(VBenchEnv(tmp_path, tmp_path), ("overall_consistency",))
    assert set(scorer.score({"a": video})["a"]) == {"vbench_overall_consistency"}


def test_a_video_is_scored_once(asked, video, tmp_path):
    scorer = VBenchScorer(VBenchEnv(tmp_path, tmp_path), ("temporal_flickering",))
    scorer.score({"a": video})
    assert set(scorer.score({"a": video, "b": video})) == {"a", "b"}
    assert asked == [["a"], ["b"]]


def test_what_scored_is_recorded(asked, video, tmp_path):
    scorer = VBenchScorer(VBenchEnv(tmp_path, tmp_path), ("temporal_flickering",))
    scorer.score({"a": video})
    assert scorer.sources == {"vbench: vbench": "0.1.5", "vbench: amt-s.pth": "sha256:ab"}


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "text"])
def test_a_file_that_is_not_the_kept_video_never_reaches_vbench(asked, video, tmp_path, damage):
    data = video.path.read_bytes()
    if damage == "gone":
        video.path.unlink()
    else:
        contents = {"cut": data[: len(data) // 2], "empty": b"", "text": b"not a video"}
        video.path.write_bytes(contents[damage])
    scorer = VBenchScorer(VBenchEnv(tmp_path, tmp_path), ("temporal_flickering",))
    with pytest.raises(VideoFileError, match=r"video\.mp4"):
        scorer.score({"a": video})
    assert asked == []
