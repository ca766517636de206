"""Whose acceptance a recipe needs."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

import sol
from sol.deploy.consent import NoConsentError
from sol.errors import UnknownNameError
from sol.recipe import Approval
from sol.starting_point import StartingPoint, Suggestion

REVIEWED = {
    "unreviewed": Approval(),
    "approved": Approval("approved", "Ada"),
    "rejected": Approval("rejected", "Ada", "flickers"),
}


@pytest.mark.parametrize(
    ("status", "require", "is_refused"),
    [
        ("unreviewed", "gate", False),
        ("approved", "gate", False),
        ("rejected", "gate", False),
        ("unreviewed", "approved", True),
        ("approved", "approved", False),
        ("rejected", "approved", True),
    ],
)
def test_a_person_is_asked_for_on_demand(pipeline, recipe, status, require, is_refused):
    reviewed = replace(recipe, approval=REVIEWED[status])
    if not is_refused:
        sol.apply(pipeline, reviewed, require=require).undo()
        return
    with pytest.raises(NoConsentError, match=rf"is {status}.*`sol review`.*`sol approve`"):
        sol.apply(pipeline, reviewed, require=require)


def test_a_rejection_is_logged_where_the_gate_is_enough(pipeline, recipe, caplog):
    with caplog.at_level(logging.WARNING, "sol"):
        sol.apply(pipeline, replace(recipe, approval=REVIEWED["rejected"])).undo()
    assert "was rejected by Ada: flickers" in caplog.text


def test_an_unknown_word_is_told_the_known_ones(pipeline, recipe):
    with pytest.raises(UnknownNameError, match=r"'aproved'\. Known: approved, gate"):
        sol.apply(pipeline, recipe, require="aproved")


def test_a_starting_point_has_been_at_no_gate(pipeline):
    point = StartingPoint(
        schema="sol.starting-point/1",
        status="starting-point",
        source="a paper",
        family="ltx",
        stack=(Suggestion("easycache"),),
    )
    with pytest.raises(NoConsentError, match=r"\(a paper\) was accepted by no gate"):
        sol.apply(pipeline, point)
