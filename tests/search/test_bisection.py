import pytest

from sol.search.bisection import gentlest, halfway, has_ordered_knobs
from sol.space import Choice, Float, Int, Ranked, Space

SPACE = Space(
    {
        "threshold": Float(0.01, 1.0, log=True, bolder="up"),
        "warmup": Int(2, 8, bolder="down"),
        "mode": Choice(("a", "b")),
    }
)


def test_halfway_is_the_middle_of_every_ordered_knob():
    held = {"threshold": 0.04, "warmup": 6, "mode": "a"}
    failed = {"threshold": 0.16, "warmup": 3, "mode": "b"}
    middle = halfway(SPACE, held, failed)
    assert middle == {"threshold": pytest.approx(0.08), "warmup": 4, "mode": "a"}


def test_the_gentlest_setting():
    like = {"threshold": 0.5, "warmup": 3, "mode": "b"}
    assert gentlest(SPACE, like) == {"threshold": 0.01, "warmup": 8, "mode": "b"}


def test_without_ordered_knobs_there_is_nothing_to_bisect():
    assert has_ordered_knobs(SPACE)
    assert not has_ordered_knobs(Space({"mode": Choice((1, 2))}))


def test_ranked_knobs_are_halved_by_rank():
    space = Space({"share": Ranked(("a", "b", "c", "d", "e"))})
    assert has_ordered_knobs(space)
    assert halfway(space, {"share": "a"}, {"share": "e"}) == {"share": "c"}
    assert halfway(space, {"share": "b"}, {"share": "c"}) == {"share": "b"}
    assert gentlest(space, {"share": "d"}) == {"share": "a"}
