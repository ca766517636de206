from __future__ import annotations

import pytest

from sol.errors import RecipeError
from sol.recipe import load_recipe
from sol.schedule import Schedule
from sol.starting_point import Suggestion, load_starting_point

TEXT = """\
schema: sol.starting-point/1
status: starting-point
source: Liu et al., arXiv 2411.19108, table 3
family: ltx
stack:
- technique: teacache
  config: {threshold: 0.05}
- technique: step_mask
  config: {skip: 8-10}
  schedule: {steps: 4-20}
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "point.yaml"


def test_a_starting_point_is_read(file):
    file.write_text(TEXT)
    point = load_starting_point(file)
    assert (point.family, point.model, point.workload, point.note) == ("ltx", None, None, "")
    assert point.source.startswith("Liu et al.")
    assert point.stack == (
        Suggestion("teacache", {"threshold": 0.05}),
        Suggestion("step_mask", {"skip": "8-10"}, Schedule(steps="4-20")),
    )


def test_it_is_no_recipe(file):
    file.write_text(TEXT)
    with pytest.raises(RecipeError, match=r"a starting point, not an accepted recipe.*sol tune"):
        load_recipe(file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sol.starting-point/1", "sol.recipe/1", "schema is 'sol.recipe/1'"),
        ("status: starting-point", "status: accepted", "status: .*got 'accepted'"),
        ("status: starting-point\n", "", "status: required"),
        ("Liu et al., arXiv 2411.19108, table 3", "' '", "source is empty"),
        ("family: ltx", "family: ''", "family is empty"),
        ("family: ltx", "family: ltx\ndigest: x", "digest: no such key"),
        ("skip: 8-10", "skip: 8, skip: 9", "the key 'skip' is there twice"),
        ("steps: 4-20", "steps: 20-4", "runs backwards"),
        (TEXT[TEXT.index("stack") :], "stack: []", "stack is empty"),
    ],
)
def test_what_is_wrong_is_named(file, old, new, message):
    assert old in TEXT
    file.write_text(TEXT.replace(old, new))
    with pytest.raises(RecipeError, match=message):
        load_starting_point(file)
