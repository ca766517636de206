"""The tiny pipelines are fit for tests: deterministic, and alive at every step and branch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contracts.models import OTHER, PLAIN, denoise
from example_prompts import PROMPT
from tiny_models import FAMILIES, build_tiny, tiny_workload

from sol.models.families import describe_roles
from sol.runtime.render import render


def distance(a, b):
    """|a - b|_1 / |b|_1."""
    return float((a - b).abs().sum() / b.abs().sum())


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_seeds_give_equal_pipelines(family):
    first, second, other = (build_tiny(family, seed) for seed in (0, 0, 1))
    a, b, c = (denoise(each, tiny_workload(family), PLAIN) for each in (first, second, other))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("family", FAMILIES)
def test_building_leaves_the_random_state_alone(family):
    before = torch.get_rng_state()
    build_tiny(family)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_differ_from_step_to_step_and_from_branch_to_branch(family):
    pipeline = build_tiny(family)
    roles = describe_roles(pipeline)
    outputs = []
    read = roles.denoisers[0].read_prediction
    pipeline.transformer.register_forward_hook(
        lambda _m, _a, out: outputs.append(read(out).clone())
    )
    denoise(pipeline, tiny_workload(family), PLAIN)
    branches = torch.cat(outputs)
    first, second = branches[0::2], branches[1::2]
    assert len(first) == 8
    assert len(roles.denoisers[0].blocks) == 4
    for step in range(1, 8):
        assert distance(first[step], first[step - 1]) > 0.01
    for step in range(8):
        assert distance(first[step], second[step]) > 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_prompt_and_seed_matter_and_frames_are_a_picture(family):
    pipeline, workload = build_tiny(family), tiny_workload(family)
    a, b = (torch.from_numpy(denoise(pipeline, workload, call)) for call in (PLAIN, OTHER))
    assert distance(a, b) > 0.01
    frames = render(pipeline, workload, PROMPT, 0).frames
    assert frames.shape == (workload.num_frames, workload.height, workload.width, 3)
    assert np.isfinite(frames).all()
    assert frames.std() > 0.01
