"""The kept baseline: read as it is, never taken for what it is not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sol.lossless_video import VideoFileError, to_float, to_pixels, write_lossless
from sol.search.arms import Arms, PairFiles
from sol.target import Workload

FPS = 8.0
WORKLOAD = Workload(
    height=32, width=48, num_frames=5, steps=4, guidance_scale=1.0, frame_rate=8,
    max_sequence_length=8,
)  # fmt: skip
FRAMES = np.random.default_rng(0).random((5, 32, 48, 3)).astype(np.float32)


def arms_of(rendered=FRAMES):
    """A pipeline that makes one video, and counts how often it does."""
    made = []
    arms = Arms(SimpleNamespace(device=SimpleNamespace(type="cpu")), WORKLOAD, None, None)

    def render(pipeline, pair, workload=None):
        made.append(pair)
        return SimpleNamespace(frames=rendered, latents=np.zeros(3, np.float32))

    object.__setattr__(arms, "render", render)
    return arms, made


def files_in(folder):
    return PairFiles(folder / "baseline" / "a.mp4", folder / "stack" / "a.mp4", FPS)


def test_the_baseline_is_made_once_and_then_read(tmp_path):
    arms, made = arms_of()
    first = arms.baseline_frames(("a fox", 1), files_in(tmp_path))
    again = arms.baseline_frames(("a fox", 1), files_in(tmp_path))
    assert made == [("a fox", 1)]
    assert np.array_equal(first, to_float(to_pixels(FRAMES)))
    assert np.array_equal(first, again)


def test_a_baseline_that_is_not_finite_is_not_kept(tmp_path):
    arms, _ = arms_of(FRAMES * np.nan)
    with pytest.raises(Exception, match="not finite"):
        arms.baseline_frames(("a fox", 1), files_in(tmp_path))
    assert not files_in(tmp_path).baseline.exists()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "Cannot read|truncated"),
        (lambda path: path.write_text("not a video"), "Cannot read"),
        (lambda path: write_lossless(FRAMES[:, :16], path, FPS), "48x32.*it is.*48x16"),
        (lambda path: write_lossless(FRAMES[:4], path, FPS), "5 frames.*it is 4 frames"),
        (lambda path: write_lossless(FRAMES, path, 24.0), "8 fps.*24 fps"),
    ],
    ids=["empty", "cut", "text", "size", "frames", "fps"],
)
def test_a_file_that_is_not_the_baseline_is_refused_with_the_reason(tmp_path, spoil, words):
    arms, made = arms_of()
    files = files_in(tmp_path)
    files.baseline.parent.mkdir()
    write_lossless(FRAMES, files.baseline, FPS)
    spoil(files.baseline)
    with pytest.raises(VideoFileError, match=words):
        arms.baseline_frames(("a fox", 1), files)
    assert made == []
