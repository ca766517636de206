"""Checks of every kind on one scale."""

import pytest

from sol.validator.report.headroom import draw_headroom, find_headroom
from sol.validator.verdict import Check


def check(name, bound, margin, rule=">="):
    return Check(name, True, bound, bound, margin, 12, "detail", rule)


@pytest.mark.parametrize(
    ("checked", "expected"),
    [
        (check("flicker_difference", -0.003, -0.003), 0.0),
        (check("flicker_difference", 0.0, -0.003), 1.0),
        (check("flicker_difference", -0.006, -0.003), -1.0),
        (check("sharpness_ratio_min", 1.0, 0.9), 1.0),
        (check("sharpness_ratio_max", 1.0, 1.1, "<="), 1.0),
        (check("sharpness_ratio_max", 1.15, 1.1, "<="), -0.5),
        (check("ssim_floor", 0.95, 0.9), 0.5),
        (check("ssim_floor_texture", 0.95, 0.9), 0.5),
        (check("flicker_difference_motion", 0.0, -0.006), 1.0),
        (check("vmaf_worst", 95.0, 90.0), 0.5),
        (check("psnr_floor", 45.0, 30.0), 0.5),
        (check("psnr_tail", 1.0, 4.0, "<="), 0.75),
        (check("engagement", 0.0, 0.0, "<="), 0.0),
        (check("engagement", 2.0, 0.0, "<="), -2.0),
        (check("perfect_floor", 1.0, 1.0), 0.0),
    ],
)
def test_zero_is_the_limit_and_one_is_all_the_room_there_is(checked, expected):
    assert find_headroom(checked) == pytest.approx(expected)


@pytest.mark.parametrize(
    "checked",
    [
        Check("coverage", False, None, None, None, 0, "not probed"),
        Check("psnr_floor", False, None, None, 30.0, 0, "none"),
        Check("psnr_floor", False, float("nan"), float("nan"), 30.0, 0, "none"),
    ],
)
def test_where_there_is_no_number_there_is_no_picture(checked):
    assert draw_headroom(checked) is None


def test_what_lies_outside_the_scale_is_an_arrow_at_its_edge():
    assert "<polygon" in draw_headroom(check("ssim_floor", 0.1, 0.9))
    assert "<polygon" not in draw_headroom(check("ssim_floor", 0.95, 0.9))
