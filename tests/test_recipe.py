from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sol.errors import RecipeError
from sol.plain_yaml import MAX_BYTES
from sol.recipe import (
    Approval,
    BlindReview,
    ColdStart,
    Measured,
    Member,
    Memory,
    Provenance,
    QualityCheck,
    Recipe,
    RecipeEvidence,
    Share,
    dump_recipe,
    load_recipe,
)
from sol.schedule import Schedule
from sol.target import Hardware, Model, Target, Workload

DIGEST_BEFORE = "sha256:49c91aa867f399375ae7b8621f9096801f90ccdad2cfd034ccd0561ed290a360"
"""Of the recipe below, as it was computed before a cold start could be part of one."""


@pytest.fixture
def recipe() -> Recipe:
    speed = Measured(1.8, 1.7, 1.9, 9, "a machine")
    return Recipe(
        schema="sol.recipe/1",
        target=Target(
            Model("pocket", "ltx", "local", "sha256:00"),
            Hardware("cpu", "a machine", 2, 23.5, ("avx2",)),
            Workload(64, 64, 17, 24, 3.0, 16, 32),
        ),
        stack=(
            Member("step_mask", "cache", {"skip": "3-5"}, Schedule(steps="2-20")),
            Member("int8_dynamic", "quantization", {"layers": "all"}),
        ),
        evidence=RecipeEvidence(
            speedup=speed,
            baseline_s=speed,
            accelerated_s=speed,
            quality=(QualityCheck("psnr", 31.0, 30.2, 25.0, 12),),
            memory=Memory(10, 8, None, None, 1, "a machine"),
            engagement={"step_mask": {"calls_skipped": 3}},
        ),
        provenance=Provenance("run", "2026-01-01T00:00:00", {"torch": "2.13.0"}, "g", "d", "b"),
    )


@pytest.fixture
def path(recipe: Recipe, tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(recipe), encoding="utf-8")
    return file


class WithoutAnchors(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def edit(path: Path, change) -> Path:
    data = yaml.safe_load(path.read_text())
    change(data)
    path.write_text(yaml.dump(data, Dumper=WithoutAnchors, sort_keys=False))
    return path


def test_what_is_written_is_what_is_read(recipe, path):
    assert replace(load_recipe(path), digest="") == recipe


def with_all_evidence(recipe):
    start = ColdStart(0.2, 11.5, 14, 1, "a machine")
    memory = replace(recipe.evidence.memory, kept_for_undo=2, weights_after_undo=10)
    evidence = replace(recipe.evidence, cold_start=start, memory=memory)
    return replace(recipe, evidence=evidence)


def test_evidence_that_older_recipes_lack_is_written_and_read(recipe, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(with_all_evidence(recipe)), encoding="utf-8")
    assert replace(load_recipe(path), digest="") == with_all_evidence(recipe)
    edit(path, lambda d: d["evidence"]["cold_start"].update(break_even=1))
    with pytest.raises(RecipeError, match="digest does not match"):
        load_recipe(path)


def test_recipes_from_before_it_keep_their_text_and_their_digest(path):
    """That of a file which was written before there was any such evidence."""
    text = path.read_text()
    assert "cold_start" not in text
    assert "undo" not in text
    assert load_recipe(path).digest == DIGEST_BEFORE


def test_approval_is_not_part_of_the_digest(recipe, tmp_path, path):
    approved = replace(recipe, approval=Approval("approved", "someone"))
    other = tmp_path / "approved.yaml"
    other.write_text(dump_recipe(approved))
    assert load_recipe(other).digest == load_recipe(path).digest


def test_a_whole_approval_is_what_is_read(recipe, tmp_path):
    review = BlindReview(24, 15, Share(0.4, 0.1, 0.7, 9), could_tell_apart=False)
    approval = Approval(
        "approved", "Zoë", "note", "2026-01-02T03:04:05+00:00", "sha256:00", review
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(replace(recipe, approval=approval)), encoding="utf-8")
    assert load_recipe(path).approval == approval


@pytest.mark.parametrize("status", ["approved", "rejected"])
@pytest.mark.parametrize("reviewer", [None, "", " "])
def test_a_verdict_without_a_name_is_refused(path, status, reviewer):
    edit(path, lambda d: d["approval"].update(status=status, reviewer=reviewer))
    with pytest.raises(RecipeError, match="name who said so"):
        load_recipe(path)


def test_a_changed_setting_is_noticed(path):
    edit(path, lambda d: d["stack"][0]["config"].update(skip="3-9"))
    with pytest.raises(RecipeError, match="digest does not match"):
        load_recipe(path)


def test_changed_evidence_is_noticed(path):
    edit(path, lambda d: d["evidence"]["speedup"].update(median=9.9))
    with pytest.raises(RecipeError, match="digest does not match"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(extra=1), "extra: no such key"),
        (lambda d: d["stack"][0].update(confg={}), r"stack\.0\.confg: no such key"),
        (lambda d: d["target"]["workload"].update(steps="24"), r"target\.workload\.steps.*'24'"),
        (lambda d: d["target"]["workload"].pop("width"), r"target\.workload\.width: required"),
        (lambda d: d["target"]["hardware"].update(device="tpu"), r"target\.hardware\.device"),
        (lambda d: d["stack"][0]["schedule"].update(steps="16_28"), "is not a range"),
        (lambda d: d.update(stack="easycache"), "stack"),
        (lambda d: d["approval"].update(by="me"), r"approval\.by: no such key"),
        (lambda d: d["approval"].update(status="fine"), r"approval\.status"),
        (lambda d: d.update(schema="sol.recipe/9"), "schema is 'sol.recipe/9'"),
        (lambda d: d["target"]["workload"].update(steps=10**6), r"workload\.steps is 1000000, at"),
        (
            lambda d: d["target"]["workload"].update(height=16_385),
            r"height is 16385, at most 16384",
        ),
        (lambda d: d.update(stack=d["stack"] * 40), "stack has 80 members, at most 64"),
        (lambda d: d.pop("schema"), "schema is None"),
    ],
)
def test_a_malformed_recipe_names_the_key(path, change, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(edit(path, change))


def test_no_such_file(tmp_path):
    with pytest.raises(RecipeError, match="No recipe at"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["a: [1", "- a\n- b\n", "", "just words", "\x00"])
def test_not_a_yaml_mapping(tmp_path, text):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=r"is not YAML|is not a recipe"):
        load_recipe(file)


def test_a_folder_is_not_a_recipe(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path)


def test_loading_executes_nothing(path, tmp_path):
    marker = tmp_path / "executed"
    path.write_text(f"!!python/object/apply:pathlib.Path.touch [{marker}]\n")
    with pytest.raises(RecipeError, match="is not YAML"):
        load_recipe(path)
    assert not marker.exists()


def test_a_key_given_twice_is_refused(path):
    text = path.read_text()
    assert text.count("    skip: 3-5\n") == 1
    path.write_text(text.replace("    skip: 3-5\n", "    skip: 3-5\n    skip: 3-9\n"))
    with pytest.raises(RecipeError, match="the key 'skip' is there twice"):
        load_recipe(path)


def test_a_long_file_is_not_read_to_its_end(path):
    with path.open("a") as file:
        file.write("#" * MAX_BYTES)
    with pytest.raises(RecipeError, match="is too long: a recipe has at most 262,144 bytes"):
        load_recipe(path)


def test_what_could_not_be_read_again_is_not_written(recipe):
    approval = Approval("approved", "someone", note="bell \a")
    with pytest.raises(RecipeError, match=r"cannot be written as a recipe.*no control characters"):
        dump_recipe(replace(recipe, approval=approval))


def test_a_table_of_numbers_takes_one_line_and_comes_back(recipe, tmp_path):
    table = [round(0.05 * n, 2) for n in range(24)]
    config = {"skip": "3", "reuse": "ridge", "ridge": table}
    member = Member("planned", "cache", config)
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(replace(recipe, stack=(member,))))
    assert "    ridge: [0.0, 0.05, 0.1," in path.read_text()
    assert load_recipe(path).stack[0].config["ridge"] == table
