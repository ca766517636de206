"""The real package, in a real environment: flickering exactly, the others on random weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sol.lossless_video import write_lossless
from sol.validator.metrics.flickering import temporal_flickering
from sol.validator.vbench.dimensions import DIMENSIONS
from sol.validator.vbench.error import VBenchError
from sol.validator.vbench.fetch import sha256_of
from sol.validator.vbench.install import SetUp, set_up
from sol.validator.vbench.lock import Locked, available_dimensions, write_locked
from sol.validator.vbench.scoring import WORKER, VideoFile, score_videos
from sol.validator.vbench.weights import WEIGHTS

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
LIMIT_S = 1200.0
FRAMES, SIDE, RATE = 6, 64, 8.0
NARROW = (16, 24, 32, 48, 96, 144)
ANY_WEIGHTS = tuple(replace(file, sha256=None) for file in WEIGHTS)
READ = """
import importlib, json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import worker
worker.import_vbench()
load_video = importlib.import_module("vbench.utils").load_video
by_fps = importlib.import_module("vbench.utils").read_frames_decord_by_fps
for path in sys.argv[2:]:
    np.save(path + ".npy", load_video(path, return_tensor=False))
    middle = by_fps(path, num_frames=2, sample="middle")
    np.save(path + ".middle.npy", middle.permute(0, 2, 3, 1).numpy())
"""


@pytest.fixture(scope="session")
def env(tmp_path_factory):
    """Made by pip, as on a machine without uv."""
    root = tmp_path_factory.mktemp("vbench")
    yield set_up(root, SetUp(Path(sys.executable)))
    # 6 GB: pytest would keep them for its next three runs.
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def env_with_weights(env):
    """Random weights of full size in the real layout, locked as if they had been brought."""
    script = HERE / "make_random_weights.py"
    command = [str(env.python), "-I", str(script), str(env.root), str(WORKER.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for file in ANY_WEIGHTS:
        path = env.root / file.places[-1]
        write_locked(env.root, file.name, Locked(sha256_of(path), path.stat().st_size))
    return env


def frames_of(kind, height=SIDE, width=SIDE):
    """(FRAMES, height, width, 3) in [0, 1]: a gradient that drifts, or noise."""
    rng = np.random.default_rng([height, width])
    if kind == "noise":
        return rng.uniform(0, 1, (FRAMES, height, width, 3)).astype(np.float32)
    t, y, x = np.meshgrid(*(np.arange(n) for n in (FRAMES, height, width)), indexing="ij")
    waves = [0.5 + 0.5 * np.sin((x + t * speed) / 9 + y / 7) for speed in (1, 2, 3)]
    return np.stack(waves, axis=-1).astype(np.float32)


def write(folder, name, frames):
    path = folder / f"{name}.mp4"
    write_lossless(frames, path, RATE)
    return VideoFile(name, path, "a red ball rolls")


def test_flickering_is_the_number_that_the_embedded_metric_gives(env, tmp_path):
    clips = {
        "waves": frames_of("waves"),
        "noise": frames_of("noise", 48, 96),
        "odd": frames_of("noise", 63, 97),
        "frozen": np.repeat(frames_of("waves")[:1], FRAMES, axis=0),
    }
    videos = [write(tmp_path, name, frames) for name, frames in clips.items()]
    scores = score_videos(env, videos, ("temporal_flickering",), LIMIT_S)
    for name, frames in clips.items():
        found = scores.by_video[name]["temporal_flickering"]
        assert found == pytest.approx(temporal_flickering(frames), abs=1e-6)
    assert scores.versions["vbench"] == "0.1.5"
    assert scores.weights == {}


def test_vbenchs_readers_see_every_pixel_also_of_narrow_videos(env, tmp_path):
    clips = {f"w{w}": frames_of("noise", 48, w) for w in (*NARROW, 64, 97)}
    paths = [write(tmp_path, name, frames).path for name, frames in clips.items()]
    script = tmp_path / "read.py"
    script.write_text(READ)
    command = [str(env.python), "-I", str(script), str(WORKER.parent), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for path, frames in zip(paths, clips.values(), strict=True):
        written = np.rint(frames * 255).astype(np.uint8)
        assert np.array_equal(np.load(f"{path}.npy"), written)
        assert np.array_equal(np.load(f"{path}.middle.npy"), written[[1, 4]])


@pytest.mark.parametrize("content", [b"", b"not a video"], ids=("empty", "text"))
def test_a_file_that_vbench_passes_over_is_an_error(env, tmp_path, content):
    good = write(tmp_path, "good", frames_of("waves"))
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(content)
    with pytest.raises(VBenchError, match="missing: bad"):
        score_videos(env, [good, VideoFile("bad", bad, "")], ("temporal_flickering",), LIMIT_S)


def test_an_environment_that_cannot_import_vbench_says_so(env, tmp_path):
    video = write(tmp_path, "good", frames_of("waves"))
    package = next((env.root / "venv").glob("lib/*/site-packages/vbench/__init__.py"))
    hidden = package.with_name("hidden.py")
    package.rename(hidden)
    package.write_text("raise ImportError('no detector')")
    try:
        with pytest.raises(VBenchError, match=r"no detector.*sol vbench setup"):
            score_videos(env, [video], ("temporal_flickering",), LIMIT_S)
    finally:
        hidden.replace(package)


def test_every_dimension_runs_and_gives_equal_videos_equal_scores(env_with_weights, tmp_path):
    env = env_with_weights
    assert available_dimensions(env, ANY_WEIGHTS) == tuple(DIMENSIONS)
    waves = frames_of("waves")
    videos = [write(tmp_path, "baseline", waves), write(tmp_path, "again", waves)]
    scores = score_videos(env, videos, tuple(DIMENSIONS), LIMIT_S, weights=ANY_WEIGHTS)
    assert set(scores.by_video["baseline"]) == set(DIMENSIONS)
    assert scores.by_video["again"] == pytest.approx(scores.by_video["baseline"], abs=1e-6)
    assert set(scores.weights) == {file.name for file in WEIGHTS}
    # VBench's percent and its boolean are numbers here.
    assert 0.3 < scores.by_video["baseline"]["imaging_quality"] < 0.7
    assert scores.by_video["baseline"]["dynamic_degree"] in (0.0, 1.0)


def test_a_dimension_that_fails_is_named_with_vbenchs_own_reason(env_with_weights, tmp_path):
    short = write(tmp_path, "short", frames_of("waves")[:2])
    with pytest.raises(VBenchError, match="motion_smoothness failed: AssertionError: The number"):
        score_videos(
            env_with_weights, [short], ("motion_smoothness",), LIMIT_S, weights=ANY_WEIGHTS
        )


def test_a_worker_refuses_a_request_that_it_cannot_read(env, tmp_path):
    request, answer = tmp_path / "request.json", tmp_path / "answer.json"
    request.write_text("{}")
    command = [str(env.python), "-I", str(WORKER), str(request), str(answer)]
    assert subprocess.run(command).returncode == 2
    assert "videos" in json.loads(answer.read_text())["error"]["message"]
