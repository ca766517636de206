"""Shared by all tests: one thread, the pocket pipeline, a short workload."""

from __future__ import annotations

import pytest
import torch
from example_prompts import OTHER_PROMPT, PROMPT

from sol.models.loading import LoadedModel, load_model
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import Rendering, render
from sol.target import Workload


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pocket() -> LoadedModel:
    return load_model("pocket", device="cpu")


@pytest.fixture(scope="session")
def workload(pocket: LoadedModel) -> Workload:
    """The pocket workload with 8 steps: a third of a second a video."""
    return pocket.workload.with_overrides({"steps": 8})


@pytest.fixture
def pipeline(pocket: LoadedModel):
    """A clone of its own for every test."""
    return clone_pipeline(pocket.pipeline)


@pytest.fixture(scope="session")
def baseline(pocket: LoadedModel, workload: Workload) -> Rendering:
    return render(pocket.pipeline, workload, PROMPT, 0)


@pytest.fixture(scope="session")
def other_baseline(pocket: LoadedModel, workload: Workload) -> Rendering:
    return render(pocket.pipeline, workload, OTHER_PROMPT, 1)
