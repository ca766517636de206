"""The whole road on the real pocket model, with a short workload and a small budget."""

from __future__ import annotations

import json
import time

import pytest

import sol
from sol.recipe import load_recipe
from sol.search.budget import Budget
from sol.search.executors.inline import InlineExecutor
from sol.search.journal import Journal
from sol.stages.folder import make_run_folder
from sol.stages.request import TuneRequest
from sol.tune import TuneResult, tune
from sol.validator.profile import parse_profile

BUDGET = Budget("tiny", 12.0, 2, 1, 2, 2, 3)


def profile(psnr: float):
    return parse_profile(
        {
            "schema": "sol.gate/2",
            "name": "test",
            "confidence": 0.95,
            "seeds": 1,
            "screening": {"prompts": 2, "confidence": 0.8},
            "confirmation": {
                "looks": [3],
                "spending": 1.0,
                "futility": 0.05,
                "candidates": 2,
                "extra": 0,
            },
            "tail": 0.5,
            "probes": ["off_is_identity", "engagement", "state_leak", "determinism"],
            "metrics": [{"metric": "psnr", "kind": "floor", "margin": psnr}],
        },
        "test",
    )


def run(tmp_path, psnr: float) -> TuneResult:
    folder = make_run_folder(tmp_path, "pocket")
    request = TuneRequest(
        "pocket", "cpu", None, {"steps": 12}, BUDGET, profile(psnr), ("cache",), 0, folder
    )
    executor = InlineExecutor()
    with Journal(folder / "journal.jsonl", time.monotonic) as journal:
        return tune(request, executor, journal)


@pytest.mark.slow
def test_an_accepted_stack_becomes_a_recipe_that_applies(tmp_path):
    result = run(tmp_path, psnr=5.0)
    assert result.winner is not None
    recipe = load_recipe(result.recipe)
    assert recipe.target.workload.steps == 12
    assert recipe.evidence.speedup.median > 1.0
    assert all(sum(c.values()) > 0 for c in recipe.evidence.engagement.values())
    pipe = sol.load_pipeline("pocket", device="cpu")
    sol.apply(pipe, recipe).undo()
    report = json.loads((result.folder / "report.json").read_text())
    assert report["outcome"] == "accepted"
    page = result.report.read_text()
    assert "data:image/webp;base64," in page
    assert "<svg" in page


@pytest.mark.slow
def test_where_nothing_passes_the_gate_there_is_no_recipe_and_the_report_says_why(tmp_path):
    result = run(tmp_path, psnr=99.0)
    assert result.winner is None
    assert result.recipe is None
    assert not (result.folder / "recipe.yaml").exists()
    report = json.loads((result.folder / "report.json").read_text())
    assert report["outcome"] == "nothing accepted"
    judged = [stack for stack in report["stacks"] if stack["verdict"]]
    assert all("psnr_floor" in stack["reason"] for stack in judged)
    assert len(report["headline"]) > 20
    journal = (result.folder / "journal.jsonl").read_text()
    turns = [json.loads(line) for line in journal.splitlines()]
    assert turns[-1]["agent"] == "sol"
    assert turns[-1]["recipe"] is None
