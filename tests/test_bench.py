"""What `sol bench` says of a start."""

from __future__ import annotations

import pytest
from deploy.recipes import shipped, with_model

from sol.commands.bench import BenchResult, describe_cold_start
from sol.commands.recipe_target import pinned_name
from sol.recipe import ColdStart, Measured

SPEED = Measured(1.5, 1.4, 1.6, 9, "a machine")


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (
            ColdStart(0.2, 11.0, 14, 1, "a machine"),
            "0.20 s to install and a first video 11.00 s longer",
        ),
        (ColdStart(0.2, 11.0, 14, 1, "a machine"), "pays for itself after 14 videos"),
        (ColdStart(0.2, 11.0, None, 1, "a machine"), "never pays for itself"),
        (None, "not measured"),
    ],
)
def test_a_start_is_told_in_one_line(start, words):
    assert words in describe_cold_start(start)


def test_the_machine_readable_form_has_the_start_too():
    start = ColdStart(0.2, 11.0, 14, 1, "a machine")
    told = BenchResult(SPEED, SPEED, SPEED, start, {"hardware": "another"}).to_json()
    expected = {"install_s": 0.2, "first_extra_s": 11.0, "break_even": 14}
    assert told["cold_start"] == expected
    assert told["overrides"] == {"hardware": "another"}
    assert BenchResult(SPEED, SPEED, SPEED, None, {}).to_json()["cold_start"] is None


@pytest.mark.parametrize(("revision", "name"), [("local", "pocket"), ("9f1c2a", "pocket@9f1c2a")])
def test_a_recipes_model_is_loaded_at_its_revision(revision, name):
    assert pinned_name(with_model(shipped(), revision=revision)) == name
