"""Videos kept to be scored later: 8-bit RGB in an .mp4, every pixel as it was written.

H.264 in RGB with quantiser 0 (x264's lossless mode) keeps odd sizes too. A file carries the
SHA-256 of its pixels, as a decoder passes over many a damaged byte: what is scored is what was
made.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sol.errors import SolError
from sol.ffmpeg import TIME_LIMIT_S, FfmpegError, Finished, run_ffmpeg

Frames = NDArray[np.floating]
Pixels = NDArray[np.uint8]

_WHITE = 255
_CHANNELS = 3
_SAME_RATE = 0.01
"""ffmpeg prints frame rates with two decimals."""
_STREAM = re.compile(r"Video: h264 .*?, gbrp\W.*?, (\d+)x(\d+)[ ,].*? ([\d.]+) fps")
_DURATION = re.compile(r"Duration: (\d+):(\d+):([\d.]+)")
_DIGEST = re.compile(r"comment\s*: sha256:([0-9a-f]{64})\b")
_MAKE_AGAIN = "Make the video again."


@dataclass(frozen=True)
class VideoShape:
    """Pixels a side, number of frames, and frames per second."""

    frames: int
    height: int
    width: int
    fps: float

    def __str__(self) -> str:
        return f"{self.frames} frames of {self.width}x{self.height} at {self.fps:g} fps"


class VideoFileError(SolError):
    """A video that cannot be kept, or a file that is not the video it should be."""


def write_lossless(
    frames: Frames,
    path: Path,
    fps: float,
    *,
    time_limit_s: float = TIME_LIMIT_S,
    ffmpeg: str | None = None,
) -> None:
    """Rounds to 8 bits and writes; the file appears when it is complete, or not at all.

    Args:
        frames: (frames, height, width, 3), RGB; clipped to [0, 1].
        path: In a folder that exists.
        ffmpeg: The executable, if not imageio-ffmpeg's.

    Raises:
        VideoFileError: The frames are no video, or it could not be written.
    """
    pixels = to_pixels(frames)
    height, width = pixels.shape[1:3]
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    source = ("-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}")
    # A fixed number of threads: the same frames give the same bytes on every machine.
    encoder = ("-c:v", "libx264rgb", "-qp", "0", "-threads", "1", "-bitexact")
    data = pixels.data.cast("B")
    comment = ("-metadata", f"comment=sha256:{hashlib.sha256(data).hexdigest()}")
    # The index comes first in the file: what a cut takes away is then missed by the reader.
    target = ("-movflags", "+faststart", "-f", "mp4", "-y", f"file:{partial}")
    command = (*source, "-framerate", str(fps), "-i", "pipe:0", *encoder, *comment, *target)
    try:
        run_ffmpeg(command, data, time_limit_s, ffmpeg)
        partial.replace(path)
    except (FfmpegError, OSError) as error:
        raise VideoFileError(
            f"Cannot write {path}: {error} Is the folder there, writable and not full?"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def read_lossless(
    path: Path,
    expected: VideoShape | None = None,
    *,
    time_limit_s: float = TIME_LIMIT_S,
    ffmpeg: str | None = None,
) -> Pixels:
    """Reads what `write_lossless` wrote.

    Args:
        expected: What it must be; None takes any size, length and rate.
        ffmpeg: The executable, if not imageio-ffmpeg's.

    Returns:
        (frames, height, width, 3), RGB.

    Raises:
        VideoFileError: Missing, empty, truncated, not such a video, or another than expected.
    """
    _check_has_bytes(path)
    # The demuxer is named, lest ffmpeg should guess one for a picture or a text.
    source = ("-err_detect", "explode", "-noautorotate", "-f", "mov", "-i", f"file:{path}")
    target = ("-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo")
    command = (*source, *target, "-pix_fmt", "rgb24", "pipe:1")
    try:
        done = run_ffmpeg(command, b"", time_limit_s, ffmpeg)
    except FfmpegError as error:
        raise VideoFileError(f"Cannot read {path} as a video: {error} {_MAKE_AGAIN}") from error
    declared = _read_shape(path, done.log)
    pixels = _split_into_frames(path, done.output, declared)
    if expected is not None:
        _check_expected(path, declared, expected)
    _check_digest(path, done)
    return pixels


def to_float(pixels: Pixels) -> Frames:
    """8-bit levels as numbers in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(_WHITE)


def to_pixels(frames: Frames) -> Pixels:
    """Numbers as the nearest 8-bit levels, clipped to [0, 1].

    Raises:
        VideoFileError: Not (frames, height, width, 3), nothing in it, or a NaN or infinity.
    """
    if frames.ndim != len(("frame", "y", "x", "channel")) or frames.shape[-1] != _CHANNELS:
        raise VideoFileError(
            f"A video is (frames, height, width, 3), got {frames.shape}: pass one RGB video."
        )
    if not frames.size:
        raise VideoFileError(f"A video of shape {frames.shape} is empty: {_MAKE_AGAIN.lower()}")
    if not np.isfinite(frames).all():
        raise VideoFileError("A video to be kept holds NaN or infinity: find what makes them.")
    return np.rint(np.clip(frames, 0.0, 1.0) * _WHITE).astype(np.uint8, order="C")


def _check_has_bytes(path: Path) -> None:
    if not path.is_file():
        raise VideoFileError(f"Video {path} is missing. {_MAKE_AGAIN}")
    if not path.stat().st_size:
        raise VideoFileError(f"Video {path} is empty (0 bytes). {_MAKE_AGAIN}")


def _read_shape(path: Path, log: str) -> VideoShape:
    """What the file says of itself."""
    stream, duration = _STREAM.search(log), _DURATION.search(log)
    if stream is None or duration is None:
        raise VideoFileError(f"Video {path} is not lossless H.264 in RGB. {_MAKE_AGAIN}")
    width, height, fps = stream.groups()
    hours, minutes, seconds = (float(part) for part in duration.groups())
    n_frames = round((hours * 3600 + minutes * 60 + seconds) * float(fps))
    return VideoShape(n_frames, int(height), int(width), float(fps))


def _split_into_frames(path: Path, data: bytes, declared: VideoShape) -> Pixels:
    frame = (declared.height, declared.width, _CHANNELS)
    n_frames, rest = divmod(len(data), declared.height * declared.width * _CHANNELS)
    if rest or n_frames != declared.frames:
        raise VideoFileError(
            f"Video {path} says it has {declared.frames} frames, {n_frames} can be read: "
            f"it is truncated or damaged. {_MAKE_AGAIN}"
        )
    return np.frombuffer(data, np.uint8).reshape(n_frames, *frame)


def _check_expected(path: Path, found: VideoShape, expected: VideoShape) -> None:
    same_rate = abs(found.fps - expected.fps) <= _SAME_RATE
    if not same_rate or replace(found, fps=expected.fps) != expected:
        raise VideoFileError(f"Video {path} should be {expected}, it is {found}. {_MAKE_AGAIN}")


def _check_digest(path: Path, read: Finished) -> None:
    written = _DIGEST.search(read.log)
    if written is None:
        raise VideoFileError(f"Video {path} has no digest: it was not kept by Sol. {_MAKE_AGAIN}")
    if hashlib.sha256(read.output).hexdigest() != written[1]:
        raise VideoFileError(f"Video {path} is damaged: not the pixels it had. {_MAKE_AGAIN}")
