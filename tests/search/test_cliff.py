"""Distances to a failing setting, and neighbours a margin away."""

import pytest

from sol.search.cliff import (
    MARGIN,
    bolder,
    boldest_of,
    find_edge,
    find_guard,
    gentler,
    is_on_edge,
    margins_between,
)
from sol.space import Choice, Float, Int, Ranked, Space

LINE = Space({"threshold": Float(0.0, 1.0, bolder="up")})
SPACE = Space(
    {
        "threshold": Float(0.01, 1.0, log=True, bolder="up"),
        "warmup": Int(2, 8, bolder="down"),
        "share": Ranked(("low", "middle", "high")),
        "mode": Choice(("a", "b")),
    },
    fixed={"table": (1.0, 2.0, 3.0)},
)
HELD = {"threshold": 0.1, "warmup": 5, "share": "middle", "mode": "a", "table": (1.0, 2.0, 3.0)}


@pytest.mark.parametrize(
    ("failed", "margins"),
    [
        ({"threshold": 0.1 * 100**MARGIN}, 1.0),
        ({"threshold": 0.1 * 100 ** (3 * MARGIN)}, 3.0),
        ({"warmup": 4}, 1.0),
        ({"warmup": 2}, 3.0),
        ({"share": "high"}, 1.0),
        ({"threshold": 0.1 * 100 ** (2 * MARGIN), "warmup": 4}, 2.0),
        ({"threshold": 0.05, "warmup": 4}, 1.0),
        ({"threshold": 0.05}, 0.0),
        ({"warmup": 2, "mode": "b"}, None),
    ],
)
def test_the_way_to_a_failing_setting_in_margins(failed, margins):
    expected = None if margins is None else pytest.approx(margins)
    assert margins_between(SPACE, HELD, {**HELD, **failed}) == expected


@pytest.mark.parametrize(
    ("failed", "on_edge"), [(0.52, True), (0.55, True), (0.56, False), (0.4, True), (0.9, False)]
)
def test_nearer_than_a_margin_is_on_the_edge(failed, on_edge):
    assert is_on_edge(LINE, {"threshold": 0.5}, [{"threshold": failed}]) is on_edge


def test_without_a_failure_there_is_no_edge():
    assert not is_on_edge(LINE, {"threshold": 1.0}, [])
    assert find_edge("t", LINE, [{"threshold": 1.0}], []) is None
    no_knobs = Space()
    assert find_edge("t", no_knobs, [{}], [{}]) is None


def test_the_edge_is_the_narrowest_gap_and_says_so():
    held = [{"threshold": t} for t in (0.1, 0.26, 0.2)]
    edge = find_edge("t", LINE, held, [{"threshold": 0.9}, {"threshold": 0.35}])
    assert (edge.held, edge.failed) == ({"threshold": 0.26}, {"threshold": 0.35})
    assert edge.share == pytest.approx(0.09)
    assert not edge.is_closed
    assert edge.text == "threshold 0.26 held, 0.35 failed; 9% of the range away"


def test_every_knob_in_which_the_two_differ_is_named():
    failed = {**HELD, "threshold": 0.2, "warmup": 6}
    text = find_edge("t", SPACE, [HELD], [failed]).text
    assert text.startswith("threshold 0.1 warmup 5 held, threshold 0.2 warmup 6 failed; 15% of")


def test_the_bolder_neighbour_moves_every_ordered_knob_and_nothing_else():
    neighbour = bolder(SPACE, HELD)
    assert neighbour == {
        "threshold": 0.126, "warmup": 4, "share": "high", "mode": "a", "table": (1.0, 2.0, 3.0)
    }  # fmt: skip
    assert gentler(SPACE, neighbour) == HELD


def test_neighbours_are_clipped_to_the_space():
    boldest = {"threshold": 1.0, "warmup": 2, "share": "high", "mode": "a"}
    assert bolder(SPACE, boldest) == boldest
    assert bolder(Space({"mode": Choice(("a",))}), {"mode": "a"}) == {"mode": "a"}
    assert bolder(Space({"n": Int(2, 2, bolder="up")}), {"n": 2}) == {"n": 2}


def test_a_bolder_neighbour_that_reaches_a_failure_is_what_an_edge_is():
    """What an agent keeps back and what the stage before the gate rejects are the same."""
    for failed in (0.54, 0.56):
        setting, bad = {"threshold": 0.5}, {"threshold": failed}
        reaches = bolder(LINE, setting)["threshold"] >= failed
        assert reaches == is_on_edge(LINE, setting, [bad])


def test_the_guard_is_the_boldest_that_held_and_is_bolder():
    held = [{"threshold": t} for t in (0.1, 0.2, 0.3)]
    assert find_guard(LINE, {"threshold": 0.1}, held) == {"threshold": 0.3}
    assert find_guard(LINE, {"threshold": 0.3}, held) is None


def test_the_boldest_of_two_settings():
    a = {"threshold": 0.1, "warmup": 3, "share": "low", "mode": "a"}
    b = {"threshold": 0.2, "warmup": 5, "share": "high", "mode": "b"}
    expected = {"threshold": 0.2, "warmup": 3, "share": "high", "mode": "a"}
    assert boldest_of(SPACE, a, b) == expected


def test_what_follows_from_a_knob_moves_with_it():
    space = Space(
        {"plan": Ranked(("few", "many"))},
        follows={"plan": {"few": {"weights": (1.0,)}, "many": {"weights": (2.0,)}}},
    )
    assert bolder(space, {"plan": "few", "weights": (1.0,), "max": 3}) == {
        "plan": "many", "weights": (2.0,), "max": 3
    }  # fmt: skip
