"""The pairs of a report come from the videos that the run kept."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sol.lossless_video import write_lossless
from sol.stages.judged_pairs import NO_PAIRS, gather_pairs
from sol.validator.kept_videos import FOLDER, KeptPair, KeptVideos, write_kept
from sol.validator.records import PairRecord

SHAPE = (5, 16, 24, 3)
FPS = 8.0
STACK = "easycache 0.1"
PSNRS = {"calm": 40.0, "wild": 20.0, "mild": 30.0}


def frames(seed):
    return np.random.default_rng(seed).random(SHAPE, dtype=np.float32)


def keep(run, names):
    """Both arms of each pair; the accelerated one differs by its seed."""
    for arm, offset in (("baseline", 0), ("stack-1", 100)):
        (run / FOLDER / arm).mkdir(parents=True)
        for index, name in enumerate(names):
            write_lossless(frames(index + offset), run / FOLDER / arm / f"{name}.mp4", FPS)
    pairs = tuple(
        KeptPair(name, name, 0, "motion", f"baseline/{name}.mp4", f"stack-1/{name}.mp4", {})
        for name in names
    )
    write_kept(run, KeptVideos(FPS, 16, 24, 5, STACK, pairs))


def session(run):
    rules = (SimpleNamespace(metric="psnr", kind="floor"),)
    profile = SimpleNamespace(rules=lambda backend: rules)
    return SimpleNamespace(request=SimpleNamespace(folder=run, profile=profile))


def judged(label=STACK):
    records = tuple(
        PairRecord(name, 0, {}, {}, {"psnr": psnr}, stratum="motion")
        for name, psnr in PSNRS.items()
    )
    verdict = SimpleNamespace(backend="embedded", checks=())
    return SimpleNamespace(
        is_accepted=False,
        gate=SimpleNamespace(pairs=records, verdict=verdict),
        measured=SimpleNamespace(candidate=SimpleNamespace(label=label)),
    )


@pytest.fixture
def run(tmp_path):
    keep(tmp_path, PSNRS)
    return tmp_path


def test_every_pair_is_a_point_and_the_worst_come_first(run):
    pairs = gather_pairs(session(run), [judged()])
    assert [(p.prompt, p.stratum, p.metrics["psnr"]) for p in pairs.points] == [
        ("calm", "motion", 40.0),
        ("wild", "motion", 20.0),
        ("mild", "motion", 30.0),
    ]
    assert [clip.id for clip in pairs.clips] == ["wild", "mild", "calm"]
    assert pairs.clips[0].reasons == ("lowest psnr, 20",)
    assert (pairs.clips[0].fps, pairs.clips[0].metrics) == (FPS, {"psnr": 20.0})


def test_the_frames_are_those_of_the_kept_files(run):
    pairs = gather_pairs(session(run), [judged()])
    baseline, accelerated = pairs.sheets["wild"]
    assert baseline.is_exact
    assert (baseline.n_frames, baseline.frame_height, baseline.frame_width) == SHAPE[:3]
    assert baseline.content != accelerated.content
    assert pairs.clips[0].storage.startswith("Pixels as they are")


def test_a_damaged_video_is_named_and_the_others_are_shown(run):
    file = run / FOLDER / "stack-1" / "wild.mp4"
    file.write_bytes(file.read_bytes()[:200])
    pairs = gather_pairs(session(run), [judged()])
    assert "wild.mp4" in pairs.clips[0].storage
    assert set(pairs.sheets) == {"mild", "calm"}


@pytest.mark.parametrize("label", ["another stack", STACK])
def test_without_videos_of_this_stack_there_are_points_alone(tmp_path, label):
    if label != STACK:
        keep(tmp_path, PSNRS)
    pairs = gather_pairs(session(tmp_path), [judged(label)])
    assert len(pairs.points) == 3
    assert pairs.clips == ()


def test_a_run_without_a_judged_stack_has_no_pairs(tmp_path):
    assert gather_pairs(session(tmp_path), []) == NO_PAIRS
