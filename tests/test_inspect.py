"""What `sol inspect` says of a model, and `sol models` of all."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_models import FAMILIES, build_tiny, build_tiny_experts
from typer.testing import CliRunner

from sol.cli import app
from sol.commands.inspect import describe_attention, inspect_model
from sol.models.catalog import CATALOG
from sol.models.families import describe_roles
from sol.skills.registry import TECHNIQUES

PARTS = {
    "ltx": [("self", 4, "softmax over the latent grid"), ("cross", 4, "called with a mask")],
    "wan": [("self", 4, "softmax over the latent grid"), ("cross", 4, "left as it is")],
    "sana_video": [("self", 4, "linear"), ("cross", 4, "called with a mask")],
}


@pytest.mark.parametrize("family", PARTS)
def test_each_kind_of_attention_has_its_reason(family):
    found = describe_attention(describe_roles(build_tiny(family)))
    assert [(row["kind"], row["n"]) for row in found] == [(k, n) for k, n, _ in PARTS[family]]
    for row, (_, _, reason) in zip(found, PARTS[family], strict=True):
        assert reason in row["reason"]


def test_the_attentions_of_experts_are_told_apart():
    found = describe_attention(describe_roles(build_tiny_experts()))
    assert [row["denoiser"] for row in found] == ["transformer"] * 2 + ["transformer_2"] * 2


@pytest.fixture
def folder(tmp_path):
    build_tiny("ltx").save_pretrained(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_inspected(family, tmp_path):
    build_tiny(family).save_pretrained(tmp_path)
    found = inspect_model(str(tmp_path), device="cpu")
    assert (found["family"], found["revision"]) == (family, "local")
    assert set(found["denoisers"].values()) == {4}
    assert [row["name"] for row in found["techniques"]] == list(TECHNIQUES)
    assert all(row["reason"] for row in found["techniques"])
    assert any(row["applies"] for row in found["techniques"])
    memory = found["memory"]
    assert memory["dtype"] == "float32"
    assert {"transformer", "vae"} <= set(memory["weights"])
    assert memory["device_bytes"] > memory["weights_bytes"] == sum(memory["weights"].values())


def test_the_dtype_decides_what_memory_is_needed(folder):
    full, half = (
        inspect_model(str(folder), device="cpu", dtype=dtype)["memory"]["weights_bytes"]
        for dtype in ("float32", "bfloat16")
    )
    assert half == full / 2


def test_inspect_shows_the_model_before_its_techniques(folder):
    lines = run("inspect", "--model", str(folder), "--device", "cpu").stdout.splitlines()
    assert lines[0].endswith("family ltx, revision local, guidance batched")
    assert lines[1].startswith("weights: 0.00 GiB in float32 (")
    assert "10% of the weights assumed for a video" in lines[2]
    assert lines[3] == "transformer: 4 blocks"


def test_inspect_warns_of_pickles_that_were_allowed(folder):
    (weights,) = (folder / "vae").glob("*.safetensors")
    torch.save(build_tiny("ltx").vae.state_dict(), weights.with_suffix(".bin"))
    weights.unlink()
    arguments = ("inspect", "--model", str(folder), "--device", "cpu")
    assert "pass --allow-pickle" in run(*arguments).stderr
    allowed = run(*arguments, "--allow-pickle")
    assert allowed.exit_code == 0
    assert "Warning: vae was read from a pickle" in allowed.stderr
    found = json.loads(run(*arguments, "--allow-pickle", "--json").stdout)
    assert len(found["warnings"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--revision", "v1"), "names a commit of a Hub repository, got 'v1'"),
        (("--offload", "model"), "and the device is cpu"),
        (("--offload", "disk"), "Known: group, model, sequential"),
    ],
)
def test_inspect_refuses_what_a_folder_on_a_cpu_cannot_have(arguments, message, folder):
    result = run("inspect", "--model", str(folder), "--device", "cpu", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_models_are_listed_with_those_that_cannot_be_loaded():
    rows = {row["name"]: row for row in json.loads(run("models", "--json").stdout)}
    assert set(rows) == {*CATALOG, "minimax-h3"}
    assert not any(rows[name]["reason"] for name in CATALOG)
    assert "modular pipeline" in rows["minimax-h3"]["reason"]
    shown = run("models").stdout
    assert all(name in shown for name in rows)


def test_a_model_that_cannot_be_loaded_ends_with_the_reason():
    result = run("inspect", "--model", "minimax-h3")
    assert result.exit_code == 2
    assert "minimax-h3 cannot be loaded: diffusers has it as blocks" in result.stderr
