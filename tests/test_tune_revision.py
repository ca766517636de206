"""`sol tune --revision`: which revision of a model a run measures."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from sol.cli import app
from sol.errors import SolError


def run(*arguments):
    return CliRunner().invoke(app, ["tune", *arguments], catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        (("--model", "org/name", "--revision", "v1"), "org/name@v1"),
        (("--model", "org/name@v1", "--revision", "v1"), "org/name@v1"),
        (("--model", "org/name@v1"), "org/name@v1"),
        (("--model", "org/name"), "org/name"),
    ],
)
def test_a_run_keeps_the_revision_that_it_was_asked_for(arguments, model, monkeypatch):
    def refuse(options, _hear):
        asked.append(options.model)
        raise SolError("not here")

    asked = []
    monkeypatch.setattr("sol.commands.tune.run_tune", refuse)
    assert run(*arguments).exit_code == 2
    assert asked == [model]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resume", "runs/a", "--revision", "v1"), "pass --model as well"),
        (("--model", "org/name@v1", "--revision", "v2"), "--revision is v2: give one"),
    ],
)
def test_a_revision_without_a_model_or_beside_another_is_refused(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
