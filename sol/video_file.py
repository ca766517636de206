"""Writing frames to a video file: MP4 through imageio-ffmpeg, GIF and WebP through Pillow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sol.errors import OutputError

Frames = np.ndarray[Any, np.dtype[np.float32]]

_CRF = "17"
"""x264's constant rate factor: close to transparent, small files."""


def check_video_path(path: Path) -> None:
    """Raises OutputError now, rather than after the video was made, if it could not be written."""
    if path.suffix.lower() not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise OutputError(f"Cannot write {path.name!r} as a video. Known endings: {known}.")
    if not path.parent.is_dir():
        raise OutputError(f"Folder {path.parent} does not exist: create it first.")
    if path.suffix.lower() == ".mp4":
        _import_ffmpeg()


def write_video(frames: Frames, path: Path, frame_rate: int) -> None:
    """Writes float frames (frames, height, width, 3) in [0, 1]; the ending decides the format."""
    pixels = (np.clip(frames, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    try:
        _WRITERS[path.suffix.lower()](pixels, path, frame_rate)
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error}. Choose another -o.") from error


def _write_mp4(pixels: np.ndarray[Any, Any], path: Path, frame_rate: int) -> None:
    height, width = pixels.shape[1:3]
    writer = _import_ffmpeg().write_frames(
        str(path),
        (width, height),
        fps=frame_rate,
        codec="libx264",
        macro_block_size=2,
        output_params=["-crf", _CRF],
        ffmpeg_log_level="error",
    )
    writer.send(None)
    for frame in pixels:
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def _write_with_pillow(pixels: np.ndarray[Any, Any], path: Path, frame_rate: int) -> None:
    images = [Image.fromarray(frame) for frame in pixels]
    options: dict[str, Any] = {"lossless": True} if path.suffix.lower() == ".webp" else {}
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / frame_rate),
        loop=0,
        **options,
    )


_WRITERS: Mapping[str, Callable[[np.ndarray[Any, Any], Path, int], None]] = {
    ".mp4": _write_mp4,
    ".gif": _write_with_pillow,
    ".webp": _write_with_pillow,
}


def _import_ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise OutputError(
            "Writing .mp4 needs imageio-ffmpeg: pip install 'sol-tuner[tune]'. "
            "Or write .gif or .webp."
        ) from None
    return imageio_ffmpeg
