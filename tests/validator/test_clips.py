import io

import numpy as np
import pytest
from PIL import Image

from sol.validator.clips import LONGEST_SIDE_PX, find_columns, make_sheet, make_sheets

NO_BUDGET = 10**9


def noise(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def read(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def frames_of(sheet):
    """Cuts the sheet as player.js does."""
    image, height, width = read(sheet.content), sheet.frame_height, sheet.frame_width
    corners = [divmod(index, sheet.columns) for index in range(sheet.n_frames)]
    return np.stack(
        [
            image[row * height : (row + 1) * height, column * width : (column + 1) * width]
            for row, column in corners
        ]
    )


@pytest.mark.parametrize("shape", [(17, 48, 64, 3), (5, 9, 33, 3), (1, 8, 8, 3), (2, 64, 16, 3)])
def test_every_frame_is_in_the_sheet_as_it_was(shape):
    video = noise(0, shape)
    sheet = make_sheet(video, NO_BUDGET)
    assert sheet.is_exact
    assert np.array_equal(frames_of(sheet), video)
    assert np.array_equal(read(sheet.still), video[sheet.middle])


def test_what_does_not_fit_is_reduced_until_it_does_and_says_so():
    video = noise(0, (8, 96, 128, 3))
    sheet = make_sheet(video, budget=60_000)
    assert len(sheet.content) <= 60_000
    assert not sheet.is_exact
    assert sheet.scale > 1
    assert (sheet.frame_height, sheet.frame_width) == (
        -(-96 // sheet.scale),
        -(-128 // sheet.scale),
    )


def test_what_nearly_fits_loses_precision_before_size():
    video = noise(0, (8, 96, 128, 3))
    sheet = make_sheet(video, budget=260_000)
    assert (sheet.scale, sheet.lossless) == (1, False)


def test_a_reduced_frame_is_the_mean_of_its_squares():
    video = np.zeros((3, 5, 6, 3), np.uint8)
    video[:, :2, :2] = 200
    video[:, 4, :2] = 100
    sheet = make_sheet(video, budget=1)
    whole = make_sheet(video, NO_BUDGET)
    assert sheet.scale == 6
    assert (sheet.frame_height, sheet.frame_width) == (1, 1)
    assert whole.scale == 1


def test_both_arms_are_stored_alike_even_if_one_alone_would_fit():
    plain, busy = np.full((8, 96, 128, 3), 90, np.uint8), noise(0, (8, 96, 128, 3))
    assert make_sheet(plain, 30_000).is_exact
    one, other = make_sheets((plain, busy), 60_000)
    assert (one.scale, one.lossless, one.columns) == (other.scale, other.lossless, other.columns)
    assert not one.is_exact


@pytest.mark.parametrize(
    ("n_frames", "height", "width", "columns"),
    [(81, 480, 832, 7), (17, 64, 64, 4), (1, 10, 10, 1), (500, 16, 16000, 1), (3, 16000, 16, 3)],
)
def test_sheets_are_about_square_and_within_the_format(n_frames, height, width, columns):
    assert find_columns(n_frames, height, width) == columns
    assert columns * width <= LONGEST_SIDE_PX
    assert -(-n_frames // columns) * height <= LONGEST_SIDE_PX


@pytest.mark.parametrize("size", [(2000, 1080, 1920), (1, 10, 20_000), (1, 20_000, 10)])
def test_what_no_sheet_can_hold_is_known(size):
    assert find_columns(*size) is None


@pytest.mark.parametrize(
    "arms",
    [
        (noise(0, (2, 16, 16, 3)), noise(0, (3, 16, 16, 3))),
        (noise(0, (16, 16, 3)),),
        (noise(0, (0, 16, 16, 3)),),
    ],
)
def test_other_shapes_are_refused(arms):
    with pytest.raises(ValueError, match="sheet"):
        make_sheets(arms)
