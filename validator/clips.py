"""Sprite sheets: all frames of a video in one image, for players that draw by frame index.

Both arms of a pair are stored alike, so that a difference between the sheets is one between the
videos and not between two ways of storing them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

PAIR_BUDGET_BYTES = 3_000_000
"""Both sheets of one pair: eight pairs, written out as base64, make a page of 32 MB at most."""

MEDIA_TYPE = "image/webp"
LONGEST_SIDE_PX = 16383
"""Of a WebP image, by its format."""

LOSSY_QUALITY = 90
_SHARED_BYTES = 2
"""A sheet is smaller than its frames one by one, by what they have in common. Where these exceed
twice the budget it is not tried: the largest sheets take many seconds each."""
_VIDEO_DIMENSIONS, _CHANNELS = 4, 3


@dataclass(frozen=True)
class Sheet:
    """The frames of one video in rows of `columns`, and one of them as a still.

    Attributes:
        content: The image file.
        still: The middle frame as a file of its own, stored as the sheet is.
        frame_width: Pixels of a frame as stored, `frame_height` likewise.
        scale: Whole factor by which the frames were reduced; 1 for none.
        lossless: Whether the stored pixels are those of the (reduced) frames, bit by bit.
    """

    content: bytes
    still: bytes
    media_type: str
    columns: int
    frame_width: int
    frame_height: int
    n_frames: int
    scale: int
    lossless: bool

    @property
    def middle(self) -> int:
        """Index of the frame that `still` shows."""
        return self.n_frames // 2

    @property
    def is_exact(self) -> bool:
        """Whether the video's own pixels are stored."""
        return self.lossless and self.scale == 1


@dataclass(frozen=True)
class _Storage:
    scale: int
    lossless: bool


def make_sheet(pixels: Pixels, budget: int = PAIR_BUDGET_BYTES // 2) -> Sheet:
    """The sheet of one video; see `make_sheets`."""
    return make_sheets((pixels,), budget)[0]


def make_sheets(arms: Sequence[Pixels], budget: int = PAIR_BUDGET_BYTES) -> tuple[Sheet, ...]:
    """The sheets of videos that are compared, all stored alike.

    Lossless at full size where all sheets together stay within the budget, otherwise as WebP of
    quality 90, reduced by the smallest whole factor that does; at the smallest, frames of a few
    pixels, whatever it takes.

    Args:
        arms: Each (frames, height, width, 3); all of one shape.
        budget: Bytes of all sheets together.

    Raises:
        ValueError: The shapes differ, or are not those of RGB videos.
    """
    shapes = {arm.shape for arm in arms}
    if len(shapes) != 1:
        raise ValueError(f"sheets that are compared need one shape, got {sorted(shapes)}.")
    shape = shapes.pop()
    if len(shape) != _VIDEO_DIMENSIONS or shape[-1] != _CHANNELS or 0 in shape:
        raise ValueError(f"a sheet needs (frames, height, width, 3), got {shape}.")
    for storage in _storages(shape):
        if not _may_fit(arms, storage, budget):
            continue
        sheets = tuple(_store(arm, storage) for arm in arms)
        if sum(len(sheet.content) for sheet in sheets) <= budget:
            return sheets
    coarsest = _Storage(max(shape[1:3]), lossless=False)
    return tuple(_store(arm, coarsest) for arm in arms)


def find_columns(n_frames: int, height: int, width: int) -> int | None:
    """Columns of the most nearly square layout, or None where no layout fits into a WebP image."""
    columns = max(1, round(math.sqrt(n_frames * height / width)))
    columns = min(columns, n_frames, LONGEST_SIDE_PX // width)
    columns = max(columns, -(-n_frames // max(LONGEST_SIDE_PX // height, 1)))
    rows = -(-n_frames // columns) if columns else 0
    fits = columns and columns * width <= LONGEST_SIDE_PX and rows * height <= LONGEST_SIDE_PX
    return columns if fits else None


def _storages(shape: tuple[int, ...]) -> Iterator[_Storage]:
    """What can be laid out, the most faithful first."""
    n_frames, height, width, _ = shape
    if find_columns(n_frames, height, width):
        yield _Storage(1, lossless=True)
    for scale in range(1, max(height, width) + 1):
        if find_columns(n_frames, -(-height // scale), -(-width // scale)):
            yield _Storage(scale, lossless=False)


def _may_fit(arms: Sequence[Pixels], storage: _Storage, budget: int) -> bool:
    """Whether the sheets may be within the budget, judged by one frame of each."""
    middles = (arm[len(arm) // 2 :][:1] for arm in arms)
    n_bytes = sum(len(_encode(_reduce(middle, storage.scale)[0], storage)) for middle in middles)
    return n_bytes * len(arms[0]) <= _SHARED_BYTES * budget


def _store(pixels: Pixels, storage: _Storage) -> Sheet:
    frames = _reduce(pixels, storage.scale)
    n_frames, height, width, _ = frames.shape
    columns = find_columns(n_frames, height, width) or 1
    return Sheet(
        content=_encode(_lay_out(frames, columns), storage),
        still=_encode(frames[n_frames // 2], storage),
        media_type=MEDIA_TYPE,
        columns=columns,
        frame_width=width,
        frame_height=height,
        n_frames=n_frames,
        scale=storage.scale,
        lossless=storage.lossless,
    )


def _reduce(pixels: Pixels, scale: int) -> Pixels:
    """The mean of each square of `scale` pixels; the last row and column fill a broken square."""
    if scale == 1:
        return pixels
    n_frames, height, width, channels = pixels.shape
    padding = ((0, 0), (0, -height % scale), (0, -width % scale), (0, 0))
    whole = np.pad(pixels, padding, mode="edge")
    squares = whole.reshape(n_frames, -(-height // scale), scale, -1, scale, channels)
    means: NDArray[np.float32] = squares.mean(axis=(2, 4), dtype=np.float32)
    return np.rint(means).astype(np.uint8)


def _lay_out(frames: Pixels, columns: int) -> Pixels:
    n_frames, height, width, channels = frames.shape
    rows = -(-n_frames // columns)
    cells = np.zeros((rows * columns, height, width, channels), dtype=np.uint8)
    cells[:n_frames] = frames
    grid = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(rows * height, columns * width, channels))


def _encode(image: Pixels, storage: _Storage) -> bytes:
    stream = io.BytesIO()
    settings = {"lossless": True} if storage.lossless else {"quality": LOSSY_QUALITY}
    Image.fromarray(image).save(stream, format="WEBP", **settings)
    return stream.getvalue()
