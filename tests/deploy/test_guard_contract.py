"""The guard on every technique: it lets through what works, and its fallback is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contracts.models import OTHER, PLAIN, denoise, get_model
from contracts.settings import SETTINGS

import sol
from sol.models.families import describe_roles
from sol.runtime.clone import clone_pipeline
from sol.runtime.plain_denoisers import with_denoisers
from sol.skills.registry import get_technique
from sol.technique import find_obstacle

COMPILED = ("regional_compile", "full_compile", "cuda_graphs")


def applies(name):
    roles = describe_roles(get_model("pocket").pipeline)
    return find_obstacle(get_technique(name), roles) is None


TECHNIQUES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in COMPILED else [])
    for name in SETTINGS
    if applies(name)
]


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_technique_that_works_is_let_through_and_can_be_stepped_around(name):
    model = get_model("pocket")
    pipeline = clone_pipeline(model.pipeline)
    stack = [{"technique": name, "config": SETTINGS[name].bold}]
    with sol.apply(pipeline, stack, guard=True) as applied:
        accelerated = denoise(pipeline, model.workload, PLAIN)
        denoise(pipeline, model.workload, OTHER)
        assert applied.fallbacks == {}
        with with_denoisers(pipeline, applied.guard.plain, applied.clock):
            stepped_around = denoise(pipeline, model.workload, PLAIN)
        assert applied.clock.video == 2
        assert np.array_equal(denoise(pipeline, model.workload, PLAIN), accelerated)
    assert np.array_equal(stepped_around, denoise(model.pipeline, model.workload, PLAIN))
