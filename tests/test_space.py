import pytest

from sol.space import Choice, Float, Int, Ranked, Space, is_at_least_as_bold, list_settings

SPACE = Space(
    knobs={
        "threshold": Float(0.01, 1.0, bolder="up"),
        "warmup": Int(2, 8, bolder="down"),
        "mode": Choice(("a", "b")),
        "rank": Int(1, 4),
        "share": Ranked(("low", "middle", "high")),
    }
)
REFERENCE = {"threshold": 0.1, "warmup": 4, "mode": "a", "rank": 2, "share": "middle"}


@pytest.mark.parametrize(
    ("change", "bold"),
    [
        ({}, True),
        ({"threshold": 0.2}, True),
        ({"threshold": 0.05}, False),
        ({"warmup": 3}, True),
        ({"share": "high"}, True),
        ({"share": "low"}, False),
        ({"table": (1.0, 2.0)}, True),
        ({"warmup": 5}, False),
        ({"threshold": 0.2, "warmup": 5}, False),
        ({"threshold": 0.2, "mode": "b"}, False),
        ({"threshold": 0.2, "rank": 3}, False),
    ],
)
def test_boldness_is_a_partial_order(change, bold):
    assert is_at_least_as_bold(SPACE, {**REFERENCE, **change}, REFERENCE) is bold


def test_a_config_has_what_is_fixed_and_what_follows_from_its_knobs():
    plans = {"3,5": {"weights": [1.0], "skip": "3,5"}, "3-5": {"weights": [2.0], "skip": "3-5"}}
    space = Space(
        {"skip": Ranked(("3,5", "3-5")), "warmup": Int(1, 4)},
        fixed={"table": (1, 2), "weights": []},
        follows={"skip": plans},
    )
    config = space.complete({"skip": "3-5", "warmup": 2})
    assert config == {"table": (1, 2), "weights": [2.0], "skip": "3-5", "warmup": 2}
    assert space.complete({"skip": "3,5", "warmup": 2})["weights"] == [1.0]


@pytest.mark.parametrize(
    ("knobs", "n"),
    [
        ({}, 1),
        ({"a": Choice(("x", "y")), "b": Int(1, 3)}, 6),
        ({"a": Ranked((1, 2)), "b": Int(1, 4)}, 8),
        ({"a": Ranked((1, 2)), "b": Int(1, 5)}, None),
        ({"a": Float(0.0, 1.0)}, None),
    ],
)
def test_settings_are_listed_where_they_are_few(knobs, n):
    settings = list_settings(Space(knobs, fixed={"c": 1}), most=8)
    assert (None if settings is None else len(settings)) == n
    assert settings is None or all(s["c"] == 1 and set(knobs) <= set(s) for s in settings)
