"""`sol export` as a user meets it."""

from __future__ import annotations

import json

import pytest
from export_examples import SHIPPED, item, recipe_of
from typer.testing import CliRunner

import sol.cli.export  # noqa: F401
from sol.cli import app
from sol.recipe import dump_recipe


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe_of(item("first_block"), item("regional_compile"))))
    return str(path)


def run(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)], catch_exceptions=False)


def test_a_file_is_written_and_what_is_missing_is_said(recipe, tmp_path):
    output = tmp_path / "cache.yaml"
    result = run(recipe, "--to", "cache-dit", "-o", output)
    assert result.exit_code == 0
    assert result.stdout == f"{output}: first_block\n"
    assert "Not in it: regional_compile: the file cannot ask for torch.compile" in result.stderr
    assert output.read_text().startswith("# A cache for cache-dit 1.5.3, made of the Sol recipe")


def test_without_a_file_the_text_is_the_output(recipe):
    result = run(recipe, "--to", "diffusers")
    assert result.exit_code == 0
    compile(result.stdout, "exported", "exec")
    assert "Not in it: first_block" in result.stderr


def test_json_has_both(recipe):
    data = json.loads(run(recipe, "--to", "diffusers", "--json").stdout)
    assert data["expressed"] == ["regional_compile"]
    assert list(data["omitted"]) == ["first_block"]
    compile(data["text"], "exported", "exec")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "cache-dit"), "Nothing of this recipe can be said in the format 'cache-dit'"),
        (("--to", "tensorrt"), "Unknown format 'tensorrt'. Known: cache-dit, diffusers."),
        (("--to", "diffusers", "-o", "/nowhere/a.py"), "/nowhere/a.py cannot be written"),
    ],
)
def test_what_the_user_can_fix_is_exit_code_2(arguments, words):
    result = run(SHIPPED, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
