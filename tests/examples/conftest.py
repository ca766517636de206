"""A recipe for the examples to apply."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sol.recipe import Recipe, dump_recipe, load_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def recipe(tmp_path_factory) -> tuple[Path, Recipe]:
    """The shipped one without its member that compiles: that takes longer than all else."""
    shipped = load_recipe(ROOT / "recipes" / "pocket" / "cpu-amd-epyc.yaml")
    stack = tuple(member for member in shipped.stack if member.skill != "kernel_fusion")
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(dump_recipe(replace(shipped, stack=stack)), encoding="utf-8")
    return path, load_recipe(path)
