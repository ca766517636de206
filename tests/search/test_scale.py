import pytest

from sol.search.scale import coordinate_of, n_units, rounded, value_at
from sol.space import Choice, Float, Int, Ranked

LOG = Float(0.01, 1.0, log=True, bolder="up")
LINEAR = Float(0.0, 2.0, bolder="down")
STEPS = Int(2, 8, bolder="down")
RANKED = Ranked(("none", "few", "half", "most", "all"))


@pytest.mark.parametrize(
    ("knob", "value", "coordinate"),
    [
        (LOG, 0.01, 0.0),
        (LOG, 0.1, 0.5),
        (LOG, 1.0, 1.0),
        (LINEAR, 2.0, 0.0),
        (LINEAR, 0.5, 0.75),
        (STEPS, 8, 0.0),
        (STEPS, 5, 0.5),
        (STEPS, 2, 1.0),
        (RANKED, "none", 0.0),
        (RANKED, "half", 0.5),
        (RANKED, "all", 1.0),
        (Int(3, 3, bolder="up"), 3, 0.0),
        (Ranked(("only",)), "only", 0.0),
    ],
)
def test_a_value_and_its_place_on_the_scale(knob, value, coordinate):
    assert coordinate_of(knob, value) == pytest.approx(coordinate)
    assert value_at(knob, coordinate) == pytest.approx(value)


def test_places_outside_the_scale_are_its_ends():
    odd = Float(0.012345, 0.98765, bolder="up")
    assert (value_at(odd, -1.0), value_at(odd, 2.0)) == (0.012345, 0.98765)
    assert value_at(RANKED, 1.7) == "all"
    assert value_at(STEPS, -0.3) == 8


@pytest.mark.parametrize("knob", [Choice(("a", "b")), Float(0.0, 1.0), Int(1, 4)])
def test_what_has_no_order_has_no_scale(knob):
    with pytest.raises(ValueError, match="no order"):
        coordinate_of(knob, 1)
    with pytest.raises(ValueError, match="no order"):
        value_at(knob, 0.5)


def test_units():
    assert (n_units(STEPS), n_units(RANKED), n_units(LOG)) == (6, 4, None)


def test_only_real_knobs_are_rounded_and_never_out_of_range():
    assert rounded(LOG, 0.123456) == 0.123
    assert rounded(Float(0.12345, 1.0), 0.12345) == 0.12345
    assert rounded(Choice((0.123456, 1.0)), 0.123456) == 0.123456
