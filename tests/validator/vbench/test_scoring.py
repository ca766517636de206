"""The driver against workers that misbehave: each ends in a reason, none in a partial answer."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

import pytest

from sol.errors import UnknownNameError
from sol.validator.vbench.environment import VBenchEnv
from sol.validator.vbench.error import VBenchError
from sol.validator.vbench.lock import Locked, write_locked
from sol.validator.vbench.scoring import VideoFile, score_videos
from sol.validator.vbench.weights import WeightFile

GOOD = """
import json, math, os, signal, subprocess, sys, time
request = json.load(open(sys.argv[1]))
ids = [video["id"] for video in request["videos"]]
scores = {name: {i: 0.5 for i in ids} for name in request["dimensions"]}
answer = {"error": None, "scores": scores, "seconds": {n: 1.0 for n in scores},
          "versions": {"vbench": "0.1.5"}, "weights": {}}
first = request["dimensions"][0]
def write(data):
    open(sys.argv[2], "w").write(data if isinstance(data, str) else json.dumps(data))
"""
END = "\nwrite(answer)\n"


def failing(code, dimension):
    error = {"dimension": dimension, "message": "no frames"}
    return f"answer['error'] = {error!r}; answer['scores'] = {{}}; write(answer); sys.exit({code})"


MISBEHAVIOUR = {
    "killed for memory": ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL.*out of memory"),
    "crashed": ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    "garbage": ("write('Traceback'); sys.exit()", "must answer in JSON"),
    "half an answer": ("write('{\"scores\": {'); sys.exit()", "must answer in JSON"),
    "another form": ("write({'scores': {}}); sys.exit()", "error: required, but missing"),
    "an unknown key": ("answer['mood'] = 1", "mood: no such key"),
    "no answer": ("sys.exit()", "wrote no answer"),
    "an exit code of its own": ("print('bang'); sys.exit(7)", "exit code 7.* bang"),
    "a dimension failed": (failing(1, "imaging_quality"), "imaging_quality failed: no frames"),
    "a bad request": (failing(2, None), "exit code 2: no frames"),
    "a broken environment": (failing(3, None), "no frames.*sol vbench setup"),
    "failed with scores": ("write(answer); sys.exit(1)", "exit code 1"),
    "NaN": ("scores[first]['b'] = math.nan", "must be a number, got nan for b"),
    "infinity": ("scores[first]['b'] = math.inf", "must be a number, got inf for b"),
    "a word": ("scores[first]['b'] = 'good'", "valid number"),
    "a boolean": ("scores[first]['b'] = True", "valid number"),
    "above its range": ("scores[first]['b'] = 50.0", "from 0 to 1, got 50 for b"),
    "below its range": ("scores[first]['b'] = -0.1", "from 0 to 1, got -0.1 for b"),
    "a video left out": ("del scores[first]['b']", "videos in temporal_flickering.*missing: b"),
    "a video too many": ("scores[first]['c'] = 0.5", "not asked for: c"),
    "a dimension left out": ("del scores[first]", "missing: temporal_flickering"),
    "a dimension too many": ("scores['x'] = scores[first]", "not asked for: x"),
}


@pytest.fixture
def env(tmp_path):
    root = tmp_path / "env"
    root.mkdir()
    return VBenchEnv(root, Path(sys.executable))


@pytest.fixture
def videos(tmp_path):
    files = [VideoFile(name, tmp_path / f"{name}.mp4", "a red ball") for name in ("a", "b")]
    for file in files:
        file.path.write_bytes(b"frames")
    return files


def ask(env, videos, code="", dimensions=("temporal_flickering",), timeout_s=60.0, weights=()):
    worker = env.root / "fake_worker.py"
    worker.write_text(GOOD + code + END)
    return score_videos(env, videos, dimensions, timeout_s, weights=weights, worker=worker)


@pytest.mark.parametrize(("code", "reason"), MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
def test_a_worker_that_misbehaves_is_an_error_that_says_so(env, videos, code, reason):
    with pytest.raises(VBenchError, match=f"(?s){reason}"):
        ask(env, videos, code)


def test_a_worker_that_behaves_is_believed_whatever_it_prints(env, videos):
    scores = ask(env, videos, "print('100%|####| {not json')", ("temporal_flickering",))
    assert scores.by_video == {name: {"temporal_flickering": 0.5} for name in ("a", "b")}
    assert scores.versions == {"vbench": "0.1.5"}


def test_a_cosine_may_be_negative_and_rounded_above_one(env, videos):
    code = "scores['overall_consistency'] = {'a': -0.2, 'b': 1.0000001}"
    scores = ask(env, videos, code, ("overall_consistency",))
    assert scores.by_video["a"] == {"overall_consistency": -0.2}


def test_a_worker_that_hangs_is_ended_with_its_children(env, videos):
    note = env.root / "child"
    code = f"""
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(note)!r}, "w").write(str(child.pid))
time.sleep(600)
"""
    with pytest.raises(VBenchError, match="must be done in 2 s"):
        ask(env, videos, code, timeout_s=2)
    assert has_ended(int(note.read_text()))


def has_ended(pid):
    """Whether a process is gone, or waits only for its new parent to notice."""
    for _ in range(200):
        status = Path(f"/proc/{pid}/stat")
        try:
            if status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_a_python_that_is_gone_is_an_error(env, videos):
    gone = VBenchEnv(env.root, env.root / "venv" / "bin" / "python")
    with pytest.raises(VBenchError, match=r"could not start.*sol vbench setup"):
        ask(gone, videos)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: [], "one video or more"),
        (lambda v: [v[0], v[0]], "an id of its own"),
        (lambda v: [VideoFile("c", Path("none.mp4"), "")], "none.mp4 is none"),
    ],
    ids=("none", "one id twice", "no file"),
)
def test_videos_that_cannot_be_asked_about_start_no_worker(env, videos, change, reason):
    with pytest.raises(VBenchError, match=reason):
        ask(env, change(videos))


@pytest.mark.parametrize(
    ("dimensions", "reason"),
    [((), "got none"), (("temporal_flickering",) * 2, "each once")],
    ids=("none", "one twice"),
)
def test_dimensions_are_asked_for_once_each(env, videos, dimensions, reason):
    with pytest.raises(VBenchError, match=reason):
        ask(env, videos, dimensions=dimensions)


def test_an_unknown_dimension_lists_the_known_ones(env, videos):
    with pytest.raises(UnknownNameError, match="Known: temporal_flickering, "):
        ask(env, videos, dimensions=("temporal_flicker",))


@pytest.fixture
def amt(env):
    """A file of weights that came, and its digest."""
    file = WeightFile(
        "amt.pth", ("cache/amt.pth",), "https://x/amt.pth", ("motion_smoothness",), 1
    )
    path = env.root / file.places[0]
    path.parent.mkdir()
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    write_locked(env.root, file.name, Locked(digest, len(b"weights")))
    return file, digest


def test_scores_name_the_weights_that_they_were_made_with(env, videos, amt):
    file, digest = amt
    code = f"answer['weights'] = {{'amt.pth': {digest!r}}}"
    scores = ask(env, videos, code, ("motion_smoothness",), weights=(file,))
    assert scores.weights == {"amt.pth": digest}


@pytest.mark.parametrize("seen", ["{}", "{'amt.pth': 64 * '0'}"], ids=("none", "another"))
def test_other_weights_than_those_that_came_are_refused(env, videos, amt, seen):
    with pytest.raises(VBenchError, match=r"amt.pth must have SHA-256 .*sol vbench prefetch"):
        ask(env, videos, f"answer['weights'] = {seen}", ("motion_smoothness",), weights=amt[:1])


def test_missing_weights_are_named_before_a_worker_starts(env, videos):
    file = WeightFile(
        "amt.pth", ("cache/amt.pth",), "https://x/amt.pth", ("motion_smoothness",), 1
    )
    with pytest.raises(VBenchError, match=r"motion_smoothness need amt.pth.*sol vbench prefetch"):
        ask(env, videos, dimensions=("motion_smoothness",), weights=(file,))
