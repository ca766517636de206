"""Where to look next for the edge of quality."""

import pytest

from sol.search.boundary import Boundary
from sol.space import Choice, Float, Int, Space

SPACE = Space(
    {"threshold": Float(0.0, 1.0, bolder="up"), "warmup": Int(2, 9, bolder="down")},
    fixed={"table": (1.0, 2.0)},
)


def at(threshold: float, warmup: int) -> dict:
    return {"threshold": threshold, "warmup": warmup, "table": (1.0, 2.0)}


def boundary(**settings) -> Boundary:
    return Boundary("easycache", SPACE, **settings)


def test_before_anything_failed_there_is_no_edge_to_look_for():
    assert boundary(held=[at(0.5, 5)]).next_probe(at(0.5, 5)) is None


def test_it_looks_halfway_to_the_nearest_failure_with_what_is_fixed():
    known = boundary(held=[at(0.2, 5)], too_bold=[at(0.9, 5), at(0.6, 5)])
    probe = known.next_probe(at(0.2, 5))
    assert probe.config == at(0.4, 5)
    assert "threshold 0.2 held, 0.6 failed" in probe.reason


def test_a_knob_in_which_what_failed_is_gentler_stays_as_bold_as_what_held():
    known = boundary(held=[at(0.2, 3)], too_bold=[at(0.6, 7)])
    assert known.next_probe(at(0.2, 3)).config == at(0.4, 3)


def test_it_goes_on_from_the_boldest_that_held_though_another_was_faster():
    known = boundary(held=[at(0.2, 5), at(0.4, 5)], too_bold=[at(0.6, 5)])
    assert known.next_probe(at(0.2, 5)).config == at(0.5, 5)


def test_where_nothing_held_it_looks_below_the_failure():
    assert boundary(too_bold=[at(0.6, 9)]).next_probe(None).config == at(0.3, 9)
    known = boundary(too_gentle=[at(0.4, 9)], too_bold=[at(0.6, 9)])
    assert known.next_probe(None).config == at(0.5, 9)


def test_with_the_edge_known_it_steps_back_to_where_it_is_safe():
    known = boundary(held=[at(0.5, 5)], too_bold=[at(0.54, 5)])
    assert known.next_probe(at(0.5, 5)).config == at(0.45, 6)
    known.learn(at(0.45, 6), "measured")
    assert known.next_probe(at(0.45, 6)) is None
    assert known.find_guard(at(0.45, 6)) == {"threshold": 0.5, "warmup": 5}


@pytest.mark.parametrize(
    ("status", "config", "hopeless"),
    [
        ("over_budget", at(0.7, 5), True),
        ("over_budget", at(0.5, 5), False),
        ("no_effect", at(0.5, 5), True),
        ("no_effect", at(0.7, 5), False),
        ("measured", at(0.7, 5), False),
        ("failed", at(0.7, 5), False),
    ],
)
def test_what_an_outcome_says_about_other_settings(status, config, hopeless):
    known = boundary()
    known.learn(at(0.6, 5), status)
    assert known.is_hopeless(config) is hopeless


def test_settings_with_other_choices_are_not_compared():
    space = Space({"threshold": Float(0.0, 1.0, bolder="up"), "mode": Choice(("a", "b"))})
    held, failed = {"threshold": 0.5, "mode": "a"}, {"threshold": 0.52, "mode": "b"}
    known = Boundary("t", space, held=[held], too_bold=[failed])
    assert not known.is_on_edge(held)
    assert known.next_probe(held) is None
