"""The command line as a user meets it: output, exit codes, and what bad input is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sol.cli import app
from sol.models.catalog import POCKET_WEIGHTS
from sol.skills.registry import TECHNIQUES

RECIPE = Path(__file__).parents[1] / "recipes" / "pocket" / "cpu-amd-epyc.yaml"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str):
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False)

    return invoke


def test_models_and_skills_are_listed(run):
    names = [row["name"] for row in json.loads(run("models", "--json").stdout)]
    assert {"pocket", "ltx"} <= set(names)
    rows = json.loads(run("skills", "--json").stdout)
    assert {row["technique"] for row in rows} == set(TECHNIQUES)
    assert "easycache" in run("skills").stdout


def test_probe_names_the_machine(run):
    data = json.loads(run("probe", "--device", "cpu", "--json").stdout)
    assert data["hardware"]["device"] == "cpu"
    assert data["hardware"]["count"] >= 1
    assert data["versions"]["torch"]


def test_inspect_says_what_applies_and_why_not(run):
    data = json.loads(run("inspect", "--model", "pocket", "--device", "cpu", "--json").stdout)
    assert (data["model"], data["family"]) == ("pocket", "ltx")
    applies = {row["name"]: row["applies"] for row in data["techniques"]}
    assert applies["easycache"]
    assert applies["text_kv"]
    assert all(row["reason"] for row in data["techniques"])


def test_inspect_gives_the_reason_of_what_does_not_apply(run):
    result = run("inspect", "-m", "pocket", "--device", "cpu", "--dtype", "bfloat16", "--json")
    rows = {row["name"]: row for row in json.loads(result.stdout)["techniques"]}
    assert not rows["int8_dynamic"]["applies"]
    assert "takes float32" in rows["int8_dynamic"]["reason"]


def test_inspect_takes_a_folder(run):
    data = json.loads(run("inspect", "--model", str(POCKET_WEIGHTS), "--json").stdout)
    assert data["family"] == "ltx"


def test_generate_writes_a_video(run, tmp_path):
    arguments = ("--prompt", "a red circle moves up", "--seed", "3", "--steps", "2")
    result = run("generate", "--model", "pocket", *arguments, "-o", "out.gif", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["path"] == "out.gif"
    from PIL import Image

    with Image.open(tmp_path / "out.gif") as image:
        assert image.size == (64, 64)


def test_generate_writes_mp4(run, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    arguments = ("--prompt", "a red circle moves up", "--steps", "2", "-o", "out.mp4")
    assert run("generate", "--model", "pocket", *arguments).exit_code == 0
    assert (tmp_path / "out.mp4").read_bytes()[4:8] == b"ftyp"


BAD_INPUT = [
    (("tune", "--model", "pockt"), "Unknown model 'pockt'. Known: pocket"),
    (("tune", "--model", "pocket", "--budget", "quik"), "Unknown budget 'quik'. Known: quick"),
    (("tune", "-m", "pocket", "--skills", "cash"), "Unknown skill 'cash'. Known: cache"),
    (("tune", "-m", "pocket", "--gate", "near-loss"), "Unknown gate profile 'near-loss'"),
    (("tune", "-m", "pocket", "--executor", "rai"), "Unknown executor 'rai'. Known: ray"),
    (("tune", "-m", "pocket", "--workers", "0"), "--workers must be at least 1, got 0"),
    (("tune", "-m", "pocket", "--steps", "0"), "steps must be at least 1, got 0"),
    (("inspect", "--model", "no/such/folder"), "Unknown model 'no/such/folder'"),
    (("inspect", "--model", "pocket", "--dtype", "int3"), "Unknown dtype 'int3'"),
    (("probe", "--device", "tpu"), "tpu"),
    (("bench", "none.yaml"), "No recipe at none.yaml"),
    (("validate", "none.yaml"), "No recipe at none.yaml"),
    (("generate", "--prompt", "x", "-o", "out.gif"), "pass --recipe or --model"),
    (("generate", "-m", "pocket", "--prompt", "x", "-o", "out.avi"), "Known endings: .mp4"),
    (("generate", "-m", "pocket", "--prompt", "x", "-o", "no/out.gif"), "does not exist"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUT)
def test_bad_input_is_told_what_to_do_and_nothing_is_written(run, tmp_path, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_an_error_is_one_json_document_where_json_was_asked_for(run):
    result = run("bench", "none.yaml", "--json")
    assert result.exit_code == 2
    assert "No recipe" in json.loads(result.stdout)["error"]


def test_usage_errors_exit_with_2(run):
    assert run("tune").exit_code == 2
    assert run("no-such-command").exit_code == 2


@pytest.fixture
def edited(tmp_path):
    """Writes the shipped recipe with a change; by default with its digest made to fit."""

    def write(change, refit: bool = True) -> str:
        from sol.recipe import _ADAPTER, dump_recipe

        data = yaml.safe_load(RECIPE.read_text())
        change(data)
        text = yaml.safe_dump(data, sort_keys=False)
        if refit:
            text = dump_recipe(_ADAPTER.validate_json(json.dumps(data)))
        path = tmp_path / "edited.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_another_models_recipe_is_refused(run, edited):
    path = edited(lambda d: d["target"]["model"].update(weights_digest="sha256:" + "0" * 64))
    result = run("bench", path, "--allow", "hardware")
    assert result.exit_code == 2
    assert "target.model.weights_digest: the recipe was measured with 'pocket'" in result.stderr


def move(recipe):
    recipe["target"]["hardware"]["name"] = "Some Other CPU"
    recipe["provenance"]["versions"]["torch"] = "1.0.0"


def test_another_machines_recipe_is_refused_with_all_that_differs(run, edited):
    result = run("bench", edited(move))
    assert result.exit_code == 2
    assert "hardware.name: the recipe was measured with Some Other CPU" in result.stderr
    assert "--allow hardware" in result.stderr
    assert "versions.torch: the recipe was measured with 1.0.0" in result.stderr
    assert "--allow versions" in result.stderr


def test_allow_is_repeatable_and_recorded_with_the_video(run, edited):
    def shorten(recipe):
        move(recipe)
        recipe["target"]["workload"].update(steps=2, num_frames=9)
        recipe["stack"] = [{"technique": "text_kv", "skill": "cache", "config": {}}]

    arguments = ("--prompt", "x", "-o", "out.gif", "--allow", "hardware", "--allow", "versions")
    result = run("generate", "--recipe", edited(shorten), *arguments, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert list(told["overrides"]) == ["hardware", "versions"]
    assert told["evidence"]["text_kv"]["projections_reused"] > 0
    assert told["fallbacks"] == {}


def test_a_guard_makes_another_workload_without_the_recipe(run, edited):
    def shorten(recipe):
        recipe["target"]["workload"].update(steps=2, num_frames=9)
        recipe["stack"] = [{"technique": "text_kv", "skill": "cache", "config": {}}]

    options = ("--steps", "3", "--allow", "hardware", "--allow", "versions", "--guard")
    arguments = ("--prompt", "x", "-o", "out.gif", *options)
    result = run("generate", "--recipe", edited(shorten), *arguments)
    assert result.exit_code == 0, result.output
    assert "made without the recipe (workload): 1" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--steps", "12"),
            "target.workload.steps: the recipe was measured with 24, here it is 12",
        ),
        (("--allow", "hardwear"), "Unknown check to allow 'hardwear'. Known: hardware, revision"),
        (("--require", "aproved"), "Unknown value of require 'aproved'. Known: approved, gate"),
        (
            ("--require", "approved"),
            "approval.status: the recipe of run 20261121-234904-pocket is",
        ),
    ],
)
def test_what_a_recipe_does_not_allow_is_known_before_the_model_is_loaded(
    run, monkeypatch, options, message
):
    monkeypatch.setattr("sol.commands.generate.load_model", None)
    arguments = ("--prompt", "x", "-o", "out.gif", *options)
    result = run("generate", "--recipe", str(RECIPE), *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_changed_recipe_is_refused(run, edited):
    path = edited(lambda d: d["evidence"]["speedup"].update(median=99.0), refit=False)
    result = run("validate", path)
    assert result.exit_code == 2
    assert "digest does not match" in result.stderr
