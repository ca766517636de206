import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from fake_ffmpeg import fake_ffmpeg
from PIL import Image

from sol.ffmpeg import find_ffmpeg
from sol.lossless_video import (
    VideoFileError,
    VideoShape,
    read_lossless,
    to_float,
    to_pixels,
    write_lossless,
)

SHAPE = VideoShape(frames=9, height=47, width=65, fps=16)


def levels(shape=SHAPE, seed=0):
    size = (shape.frames, shape.height, shape.width, 3)
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "video.mp4"
    write_lossless(to_float(levels()), path, SHAPE.fps)
    return path


@pytest.mark.parametrize(
    "shape",
    [
        SHAPE,
        VideoShape(2, 64, 64, 8),
        VideoShape(1, 16, 16, 24),
        VideoShape(5, 33, 48, 23.976),
        VideoShape(3, 1, 1, 7.5),
    ],
    ids=str,
)
def test_every_pixel_comes_back(tmp_path, shape):
    write_lossless(to_float(levels(shape)), tmp_path / "video.mp4", shape.fps)
    np.testing.assert_array_equal(read_lossless(tmp_path / "video.mp4", shape), levels(shape))


def test_smooth_videos_come_back_too(tmp_path):
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    frames = np.stack([np.roll(ramp, t)[None, :, None].repeat(48, 0) for t in range(9)])
    frames = frames.repeat(3, axis=-1)
    write_lossless(frames, tmp_path / "video.mp4", 16)
    np.testing.assert_array_equal(read_lossless(tmp_path / "video.mp4"), to_pixels(frames))


def test_strided_frames_are_written_as_they_read(tmp_path):
    frames = to_float(levels()).transpose(0, 2, 1, 3)
    write_lossless(frames, tmp_path / "video.mp4", 16)
    np.testing.assert_array_equal(read_lossless(tmp_path / "video.mp4"), to_pixels(frames))


def test_equal_videos_are_equal_files(tmp_path, video):
    write_lossless(to_float(levels()), tmp_path / "again.mp4", SHAPE.fps)
    assert (tmp_path / "again.mp4").read_bytes() == video.read_bytes()


def test_values_are_rounded_and_clipped():
    values = np.array([-1.0, 0.4 / 255, 0.6 / 255, 1.7]).reshape(1, 2, 2, 1).repeat(3, -1)
    assert to_pixels(values)[..., 0].ravel().tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (np.zeros((4, 8, 8)), r"\(frames, height, width, 3\), got \(4, 8, 8\)"),
        (np.zeros((4, 8, 8, 4)), r"got \(4, 8, 8, 4\)"),
        (np.zeros((0, 8, 8, 3)), r"\(0, 8, 8, 3\) is empty"),
        (np.full((2, 8, 8, 3), np.nan), "NaN or infinity"),
        (np.full((2, 8, 8, 3), np.inf), "NaN or infinity"),
    ],
)
def test_what_is_no_video_is_not_written(tmp_path, frames, reason):
    with pytest.raises(VideoFileError, match=reason):
        write_lossless(frames, tmp_path / "video.mp4", 16)
    assert not list(tmp_path.iterdir())


def remade(*options):
    """The file after ffmpeg made it anew with these options."""

    def remake(path):
        source = path.rename(path.with_name("source.mp4"))
        subprocess.run([find_ffmpeg(), "-v", "error", "-i", source, *options, path], check=True)

    return remake


def folder_instead(path):
    path.unlink()
    path.mkdir()


def flip_bits(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(Path.unlink, "is missing", id="missing"),
        pytest.param(folder_instead, "is missing", id="folder"),
        pytest.param(lambda p: p.write_bytes(b""), r"is empty \(0 bytes\)", id="empty"),
        pytest.param(lambda p: p.write_text("No.\n" * 50), "moov atom not found", id="text"),
        pytest.param(
            lambda p: Image.fromarray(levels()[0]).save(p, format="png"),
            "moov atom not found",
            id="picture",
        ),
        pytest.param(
            remade("-pix_fmt", "yuv420p", "-vf", "scale=64:48"),
            "not lossless H.264 in RGB",
            id="lossy",
        ),
        pytest.param(remade("-map_metadata", "-1", "-c", "copy"), "has no digest", id="no digest"),
        pytest.param(
            remade("-c:v", "libx264rgb", "-crf", "20"), "not the pixels it had", id="lossy RGB"
        ),
        pytest.param(flip_bits, "not the pixels it had|ffmpeg says", id="flipped bits"),
    ],
)
def test_what_is_not_the_video_is_refused(video, damage, reason):
    damage(video)
    with pytest.raises(VideoFileError, match=reason) as raised:
        read_lossless(video)
    assert str(video) in str(raised.value)
    assert "Make the video again." in str(raised.value)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.9, 0.99, -1])
def test_truncated_files_are_refused_wherever_they_end(video, kept):
    data = video.read_bytes()
    video.write_bytes(data[: int(len(data) * kept)] if kept > 0 else data[:kept])
    with pytest.raises(VideoFileError, match="Make the video again"):
        read_lossless(video, SHAPE)


def test_no_frame_is_missed_where_a_file_ends_between_two(video):
    """ffmpeg alone would decode fewer frames and exit with 0."""
    data = video.read_bytes()
    for end in range(len(data) - 40_000, len(data), 997):
        video.write_bytes(data[:end])
        with pytest.raises(VideoFileError):
            read_lossless(video)


@pytest.mark.parametrize(
    "expected",
    [
        VideoShape(8, 47, 65, 16),
        VideoShape(9, 48, 65, 16),
        VideoShape(9, 47, 64, 16),
        VideoShape(9, 65, 47, 16),
        VideoShape(9, 47, 65, 15),
        VideoShape(9, 47, 65, 16.02),
    ],
    ids=str,
)
def test_another_size_length_or_rate_is_refused(video, expected):
    with pytest.raises(VideoFileError) as raised:
        read_lossless(video, expected)
    assert f"should be {expected}, it is {SHAPE}" in str(raised.value)


FAILURES = [
    ("kill -9 $$", 60, "killed by signal 9"),
    ("exec sleep 60", 0.3, "not done in 0.3 s"),
    ("echo 'disk full'; echo no >&2; exit 3", 60, "exit code 3: no"),
    ("echo '[fatal] all is lost.' >&2", 60, "ffmpeg says: all is lost. "),
    ("exit 0", 60, "not lossless H.264 in RGB|No such file"),
]


@pytest.mark.parametrize(("script", "limit_s", "reason"), FAILURES)
def test_an_ffmpeg_that_fails_while_reading_is_no_video(video, tmp_path, script, limit_s, reason):
    with pytest.raises(VideoFileError, match=reason):
        read_lossless(video, time_limit_s=limit_s, ffmpeg=fake_ffmpeg(tmp_path, script))


@pytest.mark.parametrize(("script", "limit_s", "reason"), FAILURES)
def test_an_ffmpeg_that_fails_while_writing_leaves_the_old_file(
    video, tmp_path, script, limit_s, reason
):
    before, fake = video.read_bytes(), fake_ffmpeg(tmp_path, script)
    with pytest.raises(VideoFileError, match=reason):
        write_lossless(to_float(levels(seed=1)), video, 16, time_limit_s=limit_s, ffmpeg=fake)
    assert video.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_a_missing_package_is_said(video, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(VideoFileError, match=r"pip install 'sol-tuner\[tune\]'"):
        read_lossless(video)


def test_a_package_without_an_executable_is_said(video, monkeypatch):
    def find_none():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", find_none)
    with pytest.raises(VideoFileError, match=r"No ffmpeg exe.*pip install"):
        read_lossless(video)


def test_an_ffmpeg_that_is_not_there_is_said(video):
    with pytest.raises(VideoFileError, match="could not start"):
        read_lossless(video, ffmpeg="/nowhere/ffmpeg")


@pytest.mark.parametrize("folder", ["missing", "video.mp4"])
def test_a_folder_that_is_none_is_said(video, folder):
    path = Path(video.parent, folder, "new.mp4")
    with pytest.raises(VideoFileError, match=r"Is the folder there"):
        write_lossless(to_float(levels()), path, 16)
