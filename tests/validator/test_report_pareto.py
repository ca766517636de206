"""The stacks that no other beats in speed and in quality."""

import pytest

from sol.validator.report.pareto import find_pareto_set


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], ()),
        ([(1.5, 30.0)], (0,)),
        ([(2.0, 20.0), (1.5, 30.0), (1.2, 40.0)], (2, 1, 0)),
        ([(2.0, 30.0), (1.5, 20.0)], (0,)),
        ([(2.0, 30.0), (2.0, 25.0)], (0,)),
        ([(2.0, 30.0), (1.5, 30.0)], (0,)),
        ([(2.0, 30.0), (2.0, 30.0)], (0, 1)),
        ([None, (1.5, 30.0), None], (1,)),
        ([None], ()),
        ([(2.0, 20.0), (1.5, float("inf"))], (1, 0)),
    ],
    ids=[
        "none",
        "one",
        "each better in something",
        "beaten in both",
        "as fast and worse",
        "as close and slower",
        "equal ones stay",
        "not measured in both",
        "nothing measured",
        "identical videos",
    ],
)
def test_what_no_other_beats_is_in_the_set_the_slowest_first(points, expected):
    assert find_pareto_set(points) == expected
