"""`sol vbench` as a user meets it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import sol.cli.vbench  # noqa: F401 - registers the command
from sol.cli.app import EXIT_USER, app
from sol.validator.vbench.dimensions import DIMENSIONS
from sol.validator.vbench.environment import python_of, write_mark
from sol.validator.vbench.lock import Locked, write_locked


@pytest.fixture
def run(tmp_path):
    def invoke(*arguments):
        options = ("--env", str(tmp_path / "env"))
        return CliRunner().invoke(app, ["vbench", *arguments, *options], catch_exceptions=False)

    return invoke


@pytest.fixture
def complete(tmp_path):
    """An environment that looks complete, without weights."""
    root = tmp_path / "env"
    python_of(root).parent.mkdir(parents=True)
    python_of(root).write_text("")
    write_mark(root, {"vbench": "0.1.5"})
    return root


def test_status_before_setup_says_that_nothing_can_run(run):
    found = json.loads(run("status", "--json").stdout)
    assert not found["complete"]
    assert found["reason"] == "it was not set up"
    assert found["can_run"] == []


def test_status_says_what_can_run_and_what_each_dimension_lacks(run, complete):
    amt = complete / "cache" / "amt_model" / "amt-s.pth"
    amt.parent.mkdir(parents=True)
    amt.write_bytes(b"weights")
    write_locked(complete, "amt-s.pth", Locked("0" * 64, len(b"weights")))
    found = json.loads(run("status", "--json").stdout)
    assert found["complete"]
    assert found["weights"] == ["amt-s.pth"]
    assert found["can_run"] == ["temporal_flickering", "motion_smoothness"]
    assert found["missing"]["imaging_quality"] == ["musiq_spaq_ckpt-358bb6af.pth"]
    assert set(found["missing"]) == set(DIMENSIONS)


def test_status_names_the_licences_that_forbid_commercial_use(run, complete):
    text = run("status").stdout
    assert "complete" in text
    assert "CC BY-NC 4.0" in text
    assert "PolyForm Noncommercial" in text


def test_setup_names_them_too(run, complete):
    result = run("setup")
    assert result.exit_code == 0
    assert "CC BY-NC 4.0" in result.stdout


def test_weights_need_packages_first(run):
    result = run("prefetch")
    assert result.exit_code == EXIT_USER
    assert "it was not set up. Run `sol vbench setup`." in result.stderr


def test_weights_from_a_folder_that_lacks_them_are_named(run, complete, tmp_path):
    result = run("prefetch", "--dimensions", "dynamic_degree", "--weights-from", str(tmp_path))
    assert result.exit_code == EXIT_USER
    assert "raft-things.pth  https://" in result.stderr


def test_an_unknown_dimension_ends_with_the_known_ones(run, complete):
    result = run("prefetch", "--dimensions", "subject")
    assert result.exit_code == EXIT_USER
    assert "Known: subject_consistency" in result.stderr


def test_the_folder_may_come_from_the_environment(complete):
    result = CliRunner().invoke(
        app, ["vbench", "status", "--json"], env={"SOL_VBENCH_ENV": str(complete)}
    )
    assert json.loads(result.stdout)["complete"]
