"""A small workload, and a recipe for it and this machine, quick to install."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from deploy.recipes import shipped, with_hardware, with_stack, with_versions, with_workload
from example_prompts import PROMPT

from sol.measure.hardware import probe, versions
from sol.recipe import Recipe
from sol.runtime.render import Rendering, render
from sol.target import Workload


@pytest.fixture(scope="session")
def workload(pocket) -> Workload:
    """Four steps of a smaller clip."""
    small = {"height": 32, "width": 64, "num_frames": 9, "steps": 4}
    return pocket.workload.with_overrides(small)


@pytest.fixture(scope="session")
def baseline(pocket, workload) -> Rendering:
    return render(pocket.pipeline, workload, PROMPT, 0)


@pytest.fixture(scope="session")
def recipe(workload) -> Recipe:
    """For the small workload; everything as it is here."""
    here = {name.replace("-", "_"): version for name, version in versions().items()}
    fitting = with_versions(with_hardware(shipped(), **asdict(probe("cpu"))), **here)
    stack = {"step_mask": {"skip": "2"}, "text_kv": {}}
    return with_stack(with_workload(fitting, **asdict(workload)), **stack)
