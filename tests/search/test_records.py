"""What a start costs, and when it is paid for."""

from __future__ import annotations

import pytest

from sol.search.records import ColdStart, Speed


def speed_of(baseline_s, accelerated_s):
    return Speed(1.0, 1.0, 1.0, 3, baseline_s, accelerated_s)


@pytest.mark.parametrize(
    ("start", "baseline_s", "accelerated_s", "break_even"),
    [
        (ColdStart(0.5, 12.0, 2.0), (3.0, 3.0, 9.0), (2.0, 2.0, 2.0), 11),
        (ColdStart(0.0, 12.0, 2.0), (3.0, 3.0, 9.0), (2.0, 2.0, 2.0), 10),
        (ColdStart(0.1, 1.0, 2.0), (3.0,), (2.0,), 1),
        (ColdStart(0.5, 12.0, 2.0), (2.0,), (2.0,), None),
        (ColdStart(0.5, 12.0, 2.0), (1.0,), (2.0,), None),
    ],
    ids=["both", "compiling alone", "a slow later video is no gain", "no faster", "slower"],
)
def test_a_start_is_paid_for_by_what_the_videos_save(start, baseline_s, accelerated_s, break_even):
    assert start.find_break_even(speed_of(baseline_s, accelerated_s)) == break_even
