"""Where a run looks for recipes, and what it remembers of them."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from sol.recipe import load_recipe
from sol.stages.recipes import list_recipes, list_starting_points, recall_precedents

POINT = """\
schema: sol.starting-point/1
status: starting-point
source: Somebody (arXiv 1)
family: ltx
stack:
- technique: easycache
  config:
    threshold: 0.2
"""
SHIPPED = Path(__file__).parents[2] / "recipes" / "pocket" / "cpu-amd-epyc.yaml"


@pytest.fixture
def target():
    return load_recipe(SHIPPED).target


def run_with_recipe(root, name, source=SHIPPED):
    folder = root / "runs" / name
    folder.mkdir(parents=True)
    if source is not None:
        shutil.copy(source, folder / "recipe.yaml")
    return folder


def test_newer_runs_come_before_older_and_packaged_recipes_last(tmp_path):
    for name in ("20260101-pocket", "20260301-pocket", "20260201-pocket"):
        folder = run_with_recipe(tmp_path, name)
    names = list(list_recipes(folder))
    assert names[:2] == [
        "runs/20260301-pocket/recipe.yaml",
        "runs/20260101-pocket/recipe.yaml",
    ]
    assert "recipes/pocket/cpu-amd-epyc.yaml" in names[2:]


def test_what_was_found_is_journalled_once_and_kept(
    tmp_path, target, journal, journal_lines, monkeypatch
):
    of_runs = partial(list_recipes, packaged=tmp_path / "none")
    monkeypatch.setattr("sol.stages.recipes.list_recipes", of_runs)
    run_with_recipe(tmp_path, "20260101-pocket")
    broken = run_with_recipe(tmp_path, "20260102-pocket", source=None)
    (broken / "recipe.yaml").write_text("words", encoding="utf-8")
    folder = run_with_recipe(tmp_path, "20260201-pocket", source=None)
    first = recall_precedents(target, folder, journal)
    shutil.rmtree(tmp_path / "runs" / "20260101-pocket")
    run_with_recipe(tmp_path, "20260301-pocket")
    again = recall_precedents(target, folder, journal)
    assert [(p.technique, p.origin) for p in again.found] == [
        (p.technique, p.origin) for p in first.found
    ]
    assert first.found[0].origin == "runs/20260101-pocket/recipe.yaml"
    skipped, warm = journal_lines()
    assert (skipped["turn"], warm["turn"]) == ("skip_recipe", "warm_start")
    assert skipped["recipe"] == "runs/20260102-pocket/recipe.yaml"
    assert "not a recipe" in skipped["reason"]
    assert set(warm["techniques"]) == {"regional_compile", "planned"}


def test_what_was_published_is_journalled_with_its_source_and_kept(
    tmp_path, target, journal, journal_lines, monkeypatch
):
    packaged = tmp_path / "packaged"
    (packaged / "ltx").mkdir(parents=True)
    (packaged / "ltx" / "easycache.yaml").write_text(POINT, encoding="utf-8")
    shutil.copy(SHIPPED, packaged / "ltx" / "cpu.yaml")
    for listing in (list_recipes, list_starting_points):
        name = f"sol.stages.recipes.{listing.__name__}"
        monkeypatch.setattr(name, partial(listing, packaged=packaged))
    folder = run_with_recipe(tmp_path, "20260101-pocket", source=None)
    first = recall_precedents(target, folder, journal)
    again = recall_precedents(target, folder, journal)
    assert [item.is_published for item in first.found] == [False] * 2 + [True]
    assert again.found[-1].credit == first.found[-1].credit == "from Somebody (arXiv 1)"
    warm, published = journal_lines()
    assert warm["recipes"] == ["recipes/ltx/cpu.yaml"]
    assert published["turn"] == "starting_points"
    assert published["sources"] == ["Somebody (arXiv 1)"]
    assert published["techniques"] == ["easycache"]
