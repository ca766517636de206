"""First trials from recipes that were accepted on neighbouring targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sol.recipe import Approval, Member, dump_recipe, load_recipe
from sol.search.records import Offer
from sol.search.warm_start import Precedent, find_precedents, project, put_first
from sol.space import Choice, Float, Int, Ranked, Space

SHIPPED = Path(__file__).parents[2] / "recipes" / "pocket" / "cpu-amd-epyc.yaml"
SPACE = Space(
    knobs={
        "threshold": Float(0.01, 0.5, bolder="up"),
        "warmup": Int(1, 6),
        "reuse": Choice(("residual", "ridge")),
        "skip": Ranked(("none", "3", "3,5")),
    },
    first=({"threshold": 0.1, "warmup": 2, "reuse": "ridge", "skip": "3"},),
    fixed={"table": (1.0, 2.0)},
)
CHOSEN = {"threshold": 0.2, "warmup": 3, "reuse": "residual", "skip": "3,5"}


@pytest.fixture
def recipe():
    return load_recipe(SHIPPED)


def kept(folder, name, recipe, **changes):
    """A recipe in a file of its own, for another target or with another stack."""
    path = folder / f"{name}.yaml"
    path.write_text(dump_recipe(replace(recipe, **changes)), encoding="utf-8")
    return path


def target_with(target, *, weights=None, device=None, family=None):
    model, hardware = target.model, target.hardware
    model = replace(
        model, weights_digest=weights or model.weights_digest, family=family or model.family
    )
    return replace(target, model=model, hardware=replace(hardware, device=device or "cpu"))


@pytest.mark.parametrize(
    ("changed", "projected"),
    [
        pytest.param({}, CHOSEN, id="as it was"),
        pytest.param({"table": (9.0,)}, CHOSEN, id="without its tables"),
        pytest.param({"threshold": 0.9}, {**CHOSEN, "threshold": 0.5}, id="cut to the range"),
        pytest.param({"warmup": 0}, {**CHOSEN, "warmup": 1}, id="raised to the range"),
        pytest.param({"reuse": "taylor"}, None, id="no such option"),
        pytest.param({"skip": "7"}, None, id="no such rank"),
        pytest.param({"threshold": "high"}, None, id="no number"),
        pytest.param({"warmup": True}, None, id="no count"),
    ],
)
def test_a_config_keeps_what_this_space_has_room_for(changed, projected):
    assert project(SPACE, {**CHOSEN, **changed}) == projected


def test_a_config_without_a_knob_cannot_be_taken_over():
    assert project(SPACE, {"threshold": 0.2}) is None


def test_what_was_accepted_comes_first_with_its_origin():
    precedents = (
        Precedent("easycache", CHOSEN, "recipes/a.yaml"),
        Precedent("other", CHOSEN, "recipes/b.yaml"),
    )
    warm = put_first(Offer("easycache", SPACE, "lossy"), precedents)
    assert warm.space.first == (CHOSEN, *SPACE.first)
    assert warm.origin_of(0) == "from recipe recipes/a.yaml"
    assert warm.origin_of(1) == "published or simplest"
    assert warm.space.complete(warm.space.first[0])["table"] == (1.0, 2.0)


def test_a_published_setting_that_was_accepted_is_tried_once():
    precedents = (Precedent("easycache", dict(SPACE.first[0]), "recipes/a.yaml"),)
    warm = put_first(Offer("easycache", SPACE, "lossy"), precedents)
    assert warm.space.first == SPACE.first
    assert warm.origins == ("from recipe recipes/a.yaml",)


def test_the_two_nearest_that_differ_are_enough():
    thresholds = (0.2, 0.2, 0.3, 0.4)
    precedents = [
        Precedent("easycache", {**CHOSEN, "threshold": threshold}, f"{place}.yaml")
        for place, threshold in enumerate(thresholds)
    ]
    warm = put_first(Offer("easycache", SPACE, "lossy"), precedents)
    assert [first["threshold"] for first in warm.space.first] == [0.2, 0.3, 0.1]
    assert warm.origins == ("from recipe 0.yaml", "from recipe 2.yaml")


def test_without_precedents_an_offer_stays_as_it_is():
    offer = Offer("easycache", SPACE, "lossy")
    assert put_first(offer, ()) == offer


def test_nearer_targets_come_first_and_other_families_not_at_all(recipe, tmp_path):
    here = recipe.target
    targets = {
        "other weights elsewhere": target_with(here, weights="sha256:1", device="cuda"),
        "other weights": target_with(here, weights="sha256:1"),
        "elsewhere": target_with(here, device="cuda"),
        "another family": target_with(here, family="wan"),
        "the same": here,
    }
    files = {name: kept(tmp_path, name, recipe, target=t) for name, t in targets.items()}
    found = find_precedents(here, files).found
    assert list(dict.fromkeys(item.origin for item in found)) == [
        "the same",
        "elsewhere",
        "other weights",
        "other weights elsewhere",
    ]


def test_what_a_reviewer_rejected_is_no_precedent(recipe, tmp_path):
    rejected = Approval("rejected", reviewer="a")
    files = {"a": kept(tmp_path, "a", recipe, approval=rejected)}
    assert find_precedents(recipe.target, files).found == ()


def test_broken_recipes_are_named_with_the_reason(recipe, tmp_path):
    text = SHIPPED.read_text(encoding="utf-8")
    broken = tmp_path / "changed.yaml"
    broken.write_text(text.replace("steps: 24", "steps: 25", 1), encoding="utf-8")
    (tmp_path / "words.yaml").write_text("words", encoding="utf-8")
    files = {"changed": broken, "words": tmp_path / "words.yaml", "good": SHIPPED}
    precedents = find_precedents(recipe.target, files)
    assert {item.origin for item in precedents.found} == {"good"}
    assert "digest does not match" in precedents.skipped["changed"]
    assert "is not a recipe" in precedents.skipped["words"]


def test_members_without_knobs_are_precedents_as_well(recipe, tmp_path):
    stack = (Member("text_kv", "cache", {}),)
    files = {"a": kept(tmp_path, "a", recipe, stack=stack)}
    (found,) = find_precedents(recipe.target, files).found
    warm = put_first(Offer("text_kv", Space(first=({},)), "exact"), (found,))
    assert (warm.space.first, warm.origins) == (({},), ("from recipe a",))
