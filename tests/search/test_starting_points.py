"""First trials from what was published: the shipped files, and what a search makes of any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_models import build_tiny

from sol.diagnosis import Diagnosis
from sol.integrator.accepted import find_accepted
from sol.models.adapters.published import find_teacache
from sol.models.catalog import CATALOG, FAMILY_WORKLOADS, find_entry
from sol.models.families import describe_roles
from sol.roles import PublishedTeaCache
from sol.search.agent import SkillAgent
from sol.search.records import Brief, Offer, Outcome, Quality, QualityFloor
from sol.search.starting_points import find_published
from sol.search.warm_start import Precedent, put_first
from sol.skills.registry import get_technique
from sol.space import Choice, Float, Int, Space
from sol.stages.recipes import list_recipes, list_starting_points
from sol.starting_point import load_starting_point
from sol.target import Hardware, Model, Target
from sol.technique import SpaceContext, find_obstacle, parse_config

SHIPPED = list_starting_points()
SPACE = Space(
    knobs={
        "threshold": Float(0.01, 0.5, bolder="up"),
        "warmup": Int(1, 6),
        "reuse": Choice(("residual", "taylor1")),
        "skip": Choice(("none", "3")),
    },
    first=({"threshold": 0.1, "warmup": 2, "reuse": "taylor1", "skip": "3"},),
    fixed={"table": [1.0, 2.0]},
)
DEFAULTS = {"threshold": 0.05, "warmup": 3, "reuse": "residual", "skip": "none", "table": ()}
CHOSEN = {"threshold": 0.2, "warmup": 3, "reuse": "residual", "skip": "none"}
DIAGNOSIS = Diagnosis(10.0, 8.0, 4.0, 1.0, 0.5)
ACCEPTED = Precedent("easycache", {**DEFAULTS, "threshold": 0.3}, "runs/a/recipe.yaml", 2.0)


def published(stated, source="Somebody (arXiv 1)"):
    """A setting of which `stated` was published."""
    return Precedent(
        "easycache", {**DEFAULTS, **stated}, "recipes/a.yaml", source=source, stated=tuple(stated)
    )


def target_of(model, **changes):
    entry = find_entry(model)
    target = Target(
        Model(entry.name, entry.family, "local", "sha256:1"),
        Hardware("cuda", "NVIDIA H100", 1, 80.0),
        entry.workload,
    )
    return replace(target, **changes)


@pytest.fixture
def write(tmp_path):
    """Writes a starting point for LTX-Video with changed lines."""

    def write(name="a", head="model: ltx", config="threshold: 0.2", technique="easycache"):
        text = (
            "schema: sol.starting-point/1\nstatus: starting-point\nsource: Somebody (arXiv 1)\n"
            f"family: ltx\n{head}\nstack:\n- technique: {technique}\n  config:\n    {config}\n"
        )
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return {f"recipes/{name}.yaml": path}

    return write


def test_every_file_that_ships_is_one_or_the_other(tmp_path):
    recipes = list_recipes(tmp_path / "runs" / "none")
    assert SHIPPED
    assert recipes
    assert not set(SHIPPED) & set(recipes)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_says_where_it_is_from_and_parses(name):
    point = load_starting_point(SHIPPED[name])
    assert "arXiv" in point.source
    assert point.family in FAMILY_WORKLOADS
    if point.model is not None:
        assert CATALOG[point.model].family == point.family
        assert Path(name).parent.name == point.model
    for suggestion in point.stack:
        parse_config(get_technique(suggestion.technique), suggestion.config)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_found_for_its_models(name):
    point = load_starting_point(SHIPPED[name])
    models = [
        entry.name
        for entry in CATALOG.values()
        if entry.family == point.family and point.model in (None, entry.name)
    ]
    assert models
    for model in models:
        if model.startswith("pocket"):
            continue
        found = find_published(target_of(model), {name: SHIPPED[name]})
        assert found.skipped == {}
        assert [item.technique for item in found.found] == [s.technique for s in point.stack]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_applies_to_its_family_and_a_search_can_try_it(name):
    """On this machine, but for what needs a GPU."""
    point = load_starting_point(SHIPPED[name])
    model = point.model or next(e.name for e in CATALOG.values() if e.family == point.family)
    target = target_of(model)
    found = find_published(target, {name: SHIPPED[name]}).found
    for precedent in found:
        technique = get_technique(precedent.technique)
        roles = roles_of(point.family, precedent)
        obstacle = find_obstacle(technique, roles)
        assert obstacle is None or "GPU" in obstacle or "CUDA" in obstacle
        space = technique.space(SpaceContext(roles, target.workload, DIAGNOSIS))
        warm = put_first(Offer(technique.name, space, "lossy"), found)
        assert warm.origin_of(0) == f"from {point.source}"
        tried = warm.space.complete(warm.space.first[0])
        assert {key: tried[key] for key in precedent.stated} == {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in precedent.config.items()
            if key in precedent.stated
        }


def roles_of(family, precedent):
    """Of the family's tiny model, with TeaCache's table for the large one."""
    roles = describe_roles(build_tiny(family))
    if precedent.technique != "teacache":
        return roles
    config = precedent.config
    table = PublishedTeaCache(config["coefficients"], config["signal"], (0.01,))
    return replace(roles, denoisers=(replace(roles.denoisers[0], published_teacache=table),))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ltx", (28, 32, 64)),
        ("wan-1.3b", (30, 12, 128)),
        ("wan-14b", (40, 40, 128)),
        ("cogvideox", (42, 48, 64)),
    ],
)
def test_published_tables_are_those_of_the_models(name, shape):
    """Else a search would have another table, and leave the starting point out."""
    keys = ("num_layers", "num_attention_heads", "attention_head_dim")
    config = SimpleNamespace(**dict(zip(keys, shape, strict=True)))
    table = find_teacache(CATALOG[name].family, config)
    found = find_published(target_of(name), SHIPPED).found
    own = [item.config for item in found if item.technique == "teacache"]
    assert len(own) == 2
    for each in own:
        assert (each["coefficients"], each["signal"]) == (table.coefficients, table.signal)
        assert each["threshold"] in table.thresholds


def test_the_pocket_model_has_nothing_from_other_models_of_its_family():
    assert find_published(target_of("pocket"), SHIPPED).found == ()


def test_a_models_own_come_before_its_familys(write):
    files = {**write("a", head="note: for all"), **write("b")}
    found = find_published(target_of("ltx"), files).found
    assert [item.origin for item in found] == ["recipes/b.yaml", "recipes/a.yaml"]


@pytest.mark.parametrize("head", ["model: Lightricks/LTX-Video", "model: ltx", "note: for all"])
def test_a_model_goes_by_either_name(head, write):
    (found,) = find_published(target_of("ltx"), write(head=head)).found
    assert (found.config["threshold"], found.stated) == (0.2, ("threshold",))
    assert found.config["max_skips"] == 4


def test_another_model_and_another_family_are_left_alone(write):
    files = write(head="model: wan-14b")
    assert find_published(target_of("ltx"), files) == find_published(target_of("wan-14b"), files)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"technique": "magic"}, "Unknown technique 'magic'", id="technique"),
        pytest.param({"config": "thresh: 0.1"}, "thresh: no such key", id="key"),
        pytest.param({"config": "threshold: -1.0"}, "Config of easycache", id="value"),
        pytest.param(
            {"config": "threshold: 0.1\n  schedule:\n    steps: 4-20"},
            "has a schedule",
            id="steps",
        ),
        pytest.param({"head": "status: accepted"}, "", id="status"),
    ],
)
def test_what_cannot_be_tried_is_named_with_the_reason(changes, reason, write):
    precedents = find_published(target_of("ltx"), write(**changes))
    assert precedents.found == ()
    assert reason in precedents.skipped["recipes/a.yaml"]


def test_a_list_of_steps_is_for_runs_of_that_length(write):
    name = "recipes/cosmos-3/sol.yaml"
    target = target_of("cosmos-3")
    shorter = replace(target, workload=target.workload.with_overrides({"steps": 20}))
    precedents = find_published(shorter, {name: SHIPPED[name]})
    assert precedents.found == ()
    assert (
        "published for 35 steps, and this run has 20: pass --steps 35"
        in (precedents.skipped[name])
    )


def test_accepted_settings_come_first_then_published_then_the_techniques_own():
    precedents = (published({"threshold": 0.2}), ACCEPTED)
    warm = put_first(Offer("easycache", SPACE, "lossy"), precedents)
    assert [first["threshold"] for first in warm.space.first] == [0.3, 0.2, 0.1]
    assert [warm.origin_of(n) for n in range(3)] == [
        "from recipe runs/a/recipe.yaml",
        "from Somebody (arXiv 1)",
        "published or simplest",
    ]


def test_a_setting_that_was_accepted_and_published_is_tried_once():
    precedents = (published({"threshold": 0.3}), ACCEPTED)
    warm = put_first(Offer("easycache", SPACE, "lossy"), precedents)
    assert warm.origins == ("from recipe runs/a/recipe.yaml",)


def test_two_published_settings_are_enough():
    precedents = [published({"threshold": threshold}) for threshold in (0.2, 0.25, 0.4)]
    warm = put_first(Offer("easycache", SPACE, "lossy"), precedents)
    assert [first["threshold"] for first in warm.space.first] == [0.2, 0.25, 0.1]


@pytest.mark.parametrize(
    "stated",
    [
        pytest.param({"threshold": 0.9}, id="beyond the range"),
        pytest.param({"table": [9.0]}, id="another table"),
        pytest.param({"reach": 2}, id="not searched"),
    ],
)
def test_what_cannot_be_tried_as_it_was_published_is_not_tried(stated):
    warm = put_first(Offer("easycache", SPACE, "lossy"), (published(stated),))
    assert (warm.space.first, warm.origins) == (SPACE.first, ())


@pytest.mark.parametrize("table", [[1.0, 2.0], (1.0, 2.0)])
def test_a_table_that_the_target_has_as_well_is_no_hindrance(table):
    warm = put_first(Offer("easycache", SPACE, "lossy"), (published({"table": table}),))
    assert warm.origins == ("from Somebody (arXiv 1)",)


def test_a_published_option_joins_the_others():
    warm = put_first(Offer("easycache", SPACE, "lossy"), (published({"skip": "3,5"}),))
    assert warm.space.knobs["skip"] == Choice(("none", "3", "3,5"))
    assert warm.space.first[0]["skip"] == "3,5"


def test_a_default_that_is_no_option_here_gives_way():
    knobs = {**SPACE.knobs, "reuse": Choice(("taylor1", "taylor2"))}
    space = replace(SPACE, knobs=knobs)
    warm = put_first(Offer("easycache", space, "lossy"), (published({"threshold": 0.2}),))
    assert warm.space.first[0] == {**CHOSEN, "reuse": "taylor1"}


def test_what_was_published_was_accepted_nowhere():
    """It recommends no stack: only what the gate passed does."""
    spaces = {"easycache": SPACE, "step_mask": SPACE}
    members = [replace(published({}), technique=name) for name in spaces]
    assert find_accepted(members, spaces) == ()
    accepted = [replace(ACCEPTED, technique=name) for name in spaces]
    assert len(find_accepted([*members, *accepted], spaces)) == 1


def test_the_published_mask_is_the_first_that_a_search_tries():
    name = "recipes/cosmos-3/sol.yaml"
    workload = FAMILY_WORKLOADS["cosmos3"]
    roles = describe_roles(build_tiny("ltx"))
    mask = get_technique("step_mask")
    offer = Offer("step_mask", mask.space(SpaceContext(roles, workload, DIAGNOSIS)), "lossy")
    found = find_published(target_of("cosmos-3"), {name: SHIPPED[name]}).found
    warm = put_first(offer, found)
    assert warm.space.first[0]["skip"] == "16-28"
    assert warm.origin_of(0).startswith("from Sol (arXiv 2606.23743)")


def test_an_agent_tries_what_was_published_first_and_says_whose_it_is():
    """It is measured like anything else: one that fails is no more heard of."""
    offer = put_first(Offer("easycache", SPACE, "lossy"), (published({"threshold": 0.4}),))
    floor = QualityFloor(30.0, 20.0)
    agent = SkillAgent(Brief("cache", (offer,), 4.0, "because", floor, 10, seed=0))
    first = agent.hypothesise()
    assert first.config == {**CHOSEN, "threshold": 0.4, "table": [1.0, 2.0]}
    assert "from Somebody (arXiv 1)" in first.hypothesis
    lost = Outcome("over_budget", "12 dB", Quality(12.0, 12.0, 0.5, 2.0, 1))
    assert agent.reflect(first, lost) == ()
    second = agent.hypothesise()
    assert "published or simplest" in second.hypothesis
    assert second.config["threshold"] == 0.1
