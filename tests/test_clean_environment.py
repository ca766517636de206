"""A recipe goes from where it was tuned to a machine that has the core dependencies alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import deployed
import pytest

from sol.commands.counted import compare_engagement
from sol.commands.reproduction import compare_speed
from sol.recipe import Measured, load_recipe
from sol.search.budget import Budget
from sol.search.executors.inline import InlineExecutor
from sol.search.journal import Journal
from sol.stages.folder import make_run_folder
from sol.stages.request import TuneRequest
from sol.tune import tune
from sol.validator.profile import parse_profile

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "recipes" / "pocket" / "cpu-intel-xeon.yaml"
NOT_CORE = {"ray", "optuna", "scipy", "vbench"}
NO_COPY = shutil.ignore_patterns(
    ".*", "artifacts", "build", "dist", "runs", "tests", "*.egg-info", "__pycache__"
)
LENIENT = {
    "schema": "sol.gate/2",
    "name": "lenient",
    "confidence": 0.95,
    "seeds": 1,
    "screening": {"prompts": 2, "confidence": 0.8},
    "confirmation": {
        "looks": [3], "spending": 1.0, "futility": 0.05, "candidates": 2, "extra": 0,
    },
    "tail": 0.5,
    "probes": ["off_is_identity", "engagement", "state_leak", "determinism"],
    "metrics": [{"metric": "psnr", "kind": "floor", "margin": 5.0}],
}  # fmt: skip

pytestmark = pytest.mark.slow


def say(line: str) -> None:
    """Shown by pytest -s, and where a test fails."""
    sys.stdout.write(f"\n{line}\n")


def call(*command: str | Path, **options: Any) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory) -> Path:
    """An environment with the project's wheel and what that asks for, and nothing else."""
    folder, start = tmp_path_factory.mktemp("clean"), time.monotonic()
    # A copy: building leaves files behind in the folder that it is given.
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=NO_COPY)
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "-q")
    call(*pip, "wheel", "--no-deps", "-w", folder, folder / "source")
    # As the README says.
    constrained = (*pip, "install", "-c", ROOT / "constraints.txt")
    call(*constrained, "torch")
    call(*constrained, next(folder.glob("*.whl")))
    say(f"the clean environment was built in {time.monotonic() - start:.0f} s")
    return python


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Path:
    """A recipe that `tune` wrote: a short search of one skill, and a gate that lets much pass."""
    folder = make_run_folder(tmp_path_factory.mktemp("runs"), "pocket")
    budget = Budget("tiny", 12.0, 2, 1, 2, 2, 3)
    gate = parse_profile(LENIENT, "lenient")
    request = TuneRequest(
        "pocket", "cpu", None, {"steps": 12}, budget, gate, ("cache",), 0, folder
    )
    with Journal(folder / "journal.jsonl", time.monotonic) as journal:
        result = tune(request, InlineExecutor(), journal)
    assert result.recipe is not None
    return result.recipe


def deploy(python: Path, folder: Path, recipe: Path, *allow: str) -> dict[str, Any]:
    """Of a process that finds no more than what is installed: no PYTHONPATH, no cache of code."""
    folder.mkdir()
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled"),
    }
    command = (python, deployed.__file__, recipe, "7", *allow)
    told: dict[str, Any] = json.loads(call(*command, cwd=folder, env=environment).splitlines()[-1])
    return told


def check(recipe: Path, tuning: dict[str, Any], clean: dict[str, Any]) -> None:
    assert not NOT_CORE & set(clean["there"])
    assert str(ROOT) not in clean["sol"]
    assert clean["evidence"] == tuning["evidence"]
    assert clean["frames"] == tuning["frames"]
    assert len(set(clean["frames"])) == len(deployed.PROMPTS)
    assert tuning["undone"]
    assert clean["undone"]
    rows = compare_engagement(load_recipe(recipe).evidence.engagement, clean["evidence"])
    assert rows
    assert not [row for row in rows if row.reproduced is False]


def tell(recipe: Path, tuning: dict[str, Any], clean: dict[str, Any]) -> None:
    """Speeds are told and not asserted: other work on the machine decides as well."""
    say(f"{recipe.name}: {load_recipe(recipe).evidence.speedup}")
    here, there = (Measured(**told["speedup"], device="cpu") for told in (tuning, clean))
    say(f"where it was tuned / in the clean environment: {compare_speed(here, there).detail}")


def test_a_tuned_recipe_does_the_same_where_neither_ray_nor_optuna_is(
    tuned, clean_python, tmp_path
):
    tuning = deploy(Path(sys.executable), tmp_path / "tuning", tuned)
    clean = deploy(clean_python, tmp_path / "clean", tuned)
    check(tuned, tuning, clean)
    assert {"ray", "optuna"} <= set(tuning["there"])
    tell(tuned, tuning, clean)


def test_so_does_the_shipped_recipe_with_compiled_code(clean_python, tmp_path):
    """On another machine than its own as well: what is counted and drawn is compared."""
    allow = ("hardware", "versions")
    tuning = deploy(Path(sys.executable), tmp_path / "tuning", SHIPPED, *allow)
    clean = deploy(clean_python, tmp_path / "clean", SHIPPED, *allow)
    check(SHIPPED, tuning, clean)
    tell(SHIPPED, tuning, clean)
