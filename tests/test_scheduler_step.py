"""What is put around a scheduler's methods stays on that scheduler, and goes without a trace."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from sol.scheduler_step import after_step, before_step

N_STEPS = 3


@pytest.fixture
def scheduler():
    return FlowMatchEulerDiscreteScheduler()


def run(scheduler, x):
    """The latents after the last of three steps whose prediction is always 1."""
    scheduler.set_timesteps(N_STEPS)
    for timestep in scheduler.timesteps:
        x = scheduler.step(torch.ones_like(x), timestep, x, return_dict=False)[0]
    return x


def watch(scheduler):
    """What is shown before and after each step, and what undoes it."""
    seen = []
    undos = [
        before_step(scheduler, lambda output, timestep, sample: seen.append("before")),
        after_step(scheduler, lambda step, latents: seen.append(step) or latents + 1),
    ]
    return seen, undos


def test_every_step_is_shown_and_changed(scheduler):
    x = torch.zeros(1, 2)
    plain = run(scheduler, x)
    seen, _ = watch(scheduler)
    assert torch.allclose(run(scheduler, x), plain + N_STEPS)
    assert seen == ["before", 0, "before", 1, "before", 2]


def test_a_deep_copy_is_free_of_it(scheduler):
    """A pipeline copies its scheduler for the sound, and the copy's steps are no steps of it."""
    x = torch.zeros(1, 2)
    plain = run(scheduler, x)
    seen, _ = watch(scheduler)
    copied = copy.deepcopy(scheduler)
    assert torch.equal(run(copied, x), plain)
    assert not seen
    run(scheduler, x)
    assert len(seen) == 2 * N_STEPS


def test_a_deep_copy_steps_by_itself(scheduler):
    watch(scheduler)
    copied = copy.deepcopy(scheduler)
    run(copied, torch.zeros(1, 2))
    assert copied.step_index == N_STEPS
    assert scheduler.step_index is None


def test_undone_nothing_is_left(scheduler):
    before = dict(vars(scheduler))
    seen, undos = watch(scheduler)
    for undo in reversed(undos):
        undo()
    assert dict(vars(scheduler)) == before
    run(scheduler, torch.zeros(1, 2))
    assert not seen
