"""Neighbours of a setting."""

from __future__ import annotations

import pytest

from sol.integrator.retuning import neighbours
from sol.search.cliff import MARGIN
from sol.space import Choice, Float, Int, Ranked, Space


def around(space: Space, **config) -> list[dict]:
    return list(neighbours(space, config))


def test_a_real_knob_moves_by_a_margin_or_by_more_in_both_directions():
    space = Space({"threshold": Float(0.0, 1.0, bolder="up")})
    values = [config["threshold"] for config in around(space, threshold=0.5)]
    assert values == pytest.approx([0.375, 0.5 - MARGIN, 0.5 + MARGIN, 0.625])


def test_a_knob_in_units_moves_by_units():
    space = Space({"warmup": Int(0, 8, bolder="down")})
    assert {config["warmup"] for config in around(space, warmup=4)} >= {3, 5}
    assert all(isinstance(config["warmup"], int) for config in around(space, warmup=4))


def test_a_ranked_knob_moves_by_ranks_and_never_beyond_its_ends():
    space = Space({"layers": Ranked(("few", "some", "all"))})
    assert {config["layers"] for config in around(space, layers="few")} == {"some", "all"}
    assert {config["layers"] for config in around(space, layers="all")} == {"some", "few"}


def test_one_knob_moves_at_a_time_and_what_has_no_order_stays():
    space = Space(
        {
            "threshold": Float(0.0, 1.0, bolder="up"),
            "warmup": Int(0, 8, bolder="down"),
            "seed": Int(0, 8),
            "reuse": Choice(("a", "b")),
        }
    )
    config = {"threshold": 0.5, "warmup": 4, "seed": 3, "reuse": "b"}
    found = around(space, **config)
    assert {name for other in found for name in config if other[name] != config[name]} == {
        "threshold",
        "warmup",
    }
    for other in found:
        assert sum(other[name] != config[name] for name in config) == 1


def test_what_follows_from_the_knob_moves_with_it():
    space = Space(
        {"skip": Ranked(("2", "2,4"))},
        fixed={"table": (1, 2)},
        follows={"skip": {"2": {"weights": "a"}, "2,4": {"weights": "b"}}},
    )
    (other,) = around(space, **space.complete({"skip": "2"}))
    assert other == {"skip": "2,4", "weights": "b", "table": (1, 2)}


@pytest.mark.parametrize(
    "space", [Space(), Space({"reuse": Choice(("a", "b"))}), Space({"layers": Ranked(("all",))})]
)
def test_what_cannot_move_has_no_neighbours(space):
    config = {name: knob.options[0] for name, knob in space.knobs.items()}
    assert around(space, **config) == []
