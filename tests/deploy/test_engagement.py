"""Whether a technique did its work in one video, from sums over all."""

from __future__ import annotations

import pytest

from sol.runtime.engagement import find_disengaged, has_engaged
from sol.technique import Evidence

NEW = Evidence(False, {"calls_computed": 0, "calls_skipped": 0})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (NEW, Evidence(True, {"calls_computed": 5, "calls_skipped": 3}), True),
        (NEW, Evidence(False, {"calls_computed": 8, "calls_skipped": 0}), False),
        (
            Evidence(True, {"calls_computed": 5, "calls_skipped": 3}),
            Evidence(True, {"calls_computed": 13, "calls_skipped": 3}),
            False,
        ),
        (
            Evidence(True, {"calls_computed": 5, "calls_skipped": 3}),
            Evidence(True, {"calls_computed": 10, "calls_skipped": 4}),
            True,
        ),
    ],
    ids=["first", "never", "no_longer", "again"],
)
def test_what_is_saved_must_rise(before, after, expected):
    assert has_engaged(before, after) is expected


def test_a_table_that_is_only_filled_yet_has_engaged():
    before = Evidence(False, {"rows_computed": 0, "rows_reused": 0})
    assert has_engaged(before, Evidence(True, {"rows_computed": 8, "rows_reused": 0}))


def test_a_fault_is_of_the_video_in_which_it_happened():
    """The evidence stays "not engaged" for ever after."""
    clean = Evidence(True, {"graph_runs": 64, "eager_calls": 0})
    faulty = Evidence(False, {"graph_runs": 128, "eager_calls": 2})
    recovered = Evidence(False, {"graph_runs": 192, "eager_calls": 2})
    assert not has_engaged(clean, faulty)
    assert has_engaged(faulty, recovered)


def test_what_was_done_while_installing_does_not_count():
    before = Evidence(False, {"layers_quantized": 80, "quantized_calls": 0, "full_calls": 0})
    after = Evidence(False, {"layers_quantized": 80, "quantized_calls": 0, "full_calls": 8})
    assert not has_engaged(before, after)


def test_those_that_did_nothing_are_named():
    after = {"step_mask": Evidence(True, {"calls_skipped": 1}), "easycache": NEW}
    before = {"step_mask": Evidence(False, {"calls_skipped": 0}), "easycache": NEW}
    assert find_disengaged(before, after) == ("easycache",)
