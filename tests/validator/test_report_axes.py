"""Axes of the plots: ticks and places."""

import pytest

from sol.validator.report.axes import Axis, find_decade_ticks, find_ticks, pad, pad_ratio


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9, 1.9, (1.0, 1.2, 1.4, 1.6, 1.8)),
        (17.0, 62.0, (20.0, 30.0, 40.0, 50.0, 60.0)),
        (0.98, 1.02, (0.98, 0.99, 1.0, 1.01, 1.02)),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert find_ticks(low, high) == pytest.approx(expected)


def test_ticks_of_decades_are_one_two_and_five():
    assert find_decade_ticks(0.9, 21.0) == (1.0, 2.0, 5.0, 10.0, 20.0)


def make_axis(low, high, **options):
    return Axis(low, high, 0.0, 100.0, "speed-up", "{:g}x".format, **options)


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_axis():
    axis = make_axis(1.0, 4.0, is_log=True)
    assert [axis.place(value) for value in (1.0, 2.0, 4.0)] == [0.0, 50.0, 100.0]


@pytest.mark.parametrize("is_log", [False, True])
def test_what_lies_outside_is_put_on_the_edge(is_log):
    axis = make_axis(1.0, 4.0, is_log=is_log)
    assert (axis.place(0.0), axis.place(float("inf"))) == (0.0, 100.0)


def test_a_wide_logarithmic_axis_has_ticks_of_decades():
    assert make_axis(1.0, 12.0, is_log=True).ticks == (1.0, 2.0, 5.0, 10.0)
    assert make_axis(1.0, 2.0, is_log=True).ticks == (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)


def test_no_tick_is_beyond_the_last():
    assert make_axis(50.0, 64.0, last_tick=60.0).ticks[-1] == 60.0


def test_equal_values_still_get_an_axis():
    assert pad(2.0, 2.0, least=1.0) == pytest.approx((1.42, 2.58))
    low, high = pad_ratio(2.0, 2.0, least=1.1)
    assert low < 2.0 < high
    assert high / low > 1.1
