"""The batch job, started as its README says, with real Ray actors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("ray", reason="the batch job runs on Ray")

BATCH = Path(__file__).parents[2] / "examples" / "batch" / "batch.py"
PROMPTS = (
    "# two and one\na large red circle moves right\n\na small blue square\na green triangle\n"
)
ALLOWED = ("--allow", "hardware", "--allow", "versions")

pytestmark = pytest.mark.slow


def run(recipe: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "prompts.txt").write_text(PROMPTS, encoding="utf-8")
    command = [sys.executable, BATCH, recipe, folder / "prompts.txt", "-o", folder / "videos"]
    return subprocess.run(
        [*map(str, command), *options], capture_output=True, text=True, timeout=600
    )


def read_log(folder: Path) -> list[dict]:
    lines = (folder / "videos" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_two_actors_make_a_video_a_line_and_what_is_there_is_not_made_again(recipe, tmp_path):
    first = run(recipe[0], tmp_path, "--actors", "2", *ALLOWED)
    assert first.returncode == 0, first.stderr
    assert "3 made, 0 were there, 0 failed" in first.stdout
    entries = read_log(tmp_path)
    videos = sorted((tmp_path / "videos").glob("*.gif"))
    assert sorted(entry["file"] for entry in entries) == [video.name for video in videos]
    assert len({video.read_bytes() for video in videos}) == 3
    assert all(entry["evidence"]["planned"]["calls_skipped"] > 0 for entry in entries)
    assert {entry["seed"] for entry in entries} == {0, 1, 2}
    for video in videos:
        with Image.open(video) as image:
            assert (image.size, image.n_frames) == ((64, 64), 17)

    kept = {video: video.stat().st_mtime_ns for video in videos[:2]}
    before = videos[2].read_bytes()
    videos[2].unlink()
    again = run(recipe[0], tmp_path, "--actors", "2", *ALLOWED)
    assert "1 made, 2 were there, 0 failed" in again.stdout
    assert {video: video.stat().st_mtime_ns for video in kept} == kept
    assert videos[2].read_bytes() == before
    assert len(read_log(tmp_path)) == 4


def test_a_prompt_that_fails_is_recorded_and_the_others_are_made(recipe, tmp_path):
    sys.path.insert(0, str(BATCH.parent))
    try:
        from batch import read_jobs
    finally:
        sys.path.remove(str(BATCH.parent))
    (tmp_path / "prompts.txt").write_text(PROMPTS, encoding="utf-8")
    jobs = read_jobs(tmp_path / "prompts.txt", tmp_path / "videos", recipe[1].digest, 0, ".gif")
    # Where a folder stands, no file can be written.
    jobs[1].path.mkdir(parents=True)
    ended = run(recipe[0], tmp_path, *ALLOWED)
    assert ended.returncode == 1, ended.stderr
    assert "2 made, 0 were there, 1 failed" in ended.stdout
    failed = [entry for entry in read_log(tmp_path) if "error" in entry]
    assert [entry["prompt"] for entry in failed] == [jobs[1].prompt]
    assert "directory" in failed[0]["error"]
    assert jobs[0].path.is_file()
    assert jobs[2].path.is_file()


def test_a_recipe_for_another_machine_ends_the_job(recipe, tmp_path):
    ended = run(recipe[0], tmp_path)
    assert ended.returncode == 2
    assert "target.hardware" in ended.stderr
    assert "Traceback" not in ended.stderr
