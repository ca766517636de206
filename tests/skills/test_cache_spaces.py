"""The search spaces of pab and cfg_reuse fit the run, whatever its length."""

from __future__ import annotations

import pytest

from sol.diagnosis import Diagnosis
from sol.models.families import describe_roles
from sol.skills.registry import get_technique
from sol.technique import SpaceContext, parse_config

LENGTHS = (1, 2, 3, 4, 5, 8, 15, 20, 30, 50)


def space_of(name, pocket, **changes):
    diagnosis = Diagnosis(10.0, 8.0, 4.0, 1.0, 0.5, {"self_attention": 3.0})
    workload = pocket.workload.with_overrides(changes)
    context = SpaceContext(describe_roles(pocket.pipeline), workload, diagnosis)
    return get_technique(name).space(context), get_technique(name).saves(diagnosis)


def always_computes(name, setting, n_steps):
    """Whether the protected first and last steps leave nothing to reuse."""
    windows = [value for key, value in setting.items() if key.endswith("every")]
    return max(windows) <= 1 or setting["warmup"] >= n_steps - setting["tail"]


@pytest.mark.parametrize("n_steps", LENGTHS)
@pytest.mark.parametrize("name", ["pab", "cfg_reuse"])
def test_first_settings_are_legal_inside_the_knobs_and_can_engage(name, pocket, n_steps):
    space, _ = space_of(name, pocket, steps=n_steps)
    assert bool(space.first) == bool(space.knobs)
    assert bool(space.first) or n_steps < 8
    for setting in space.first:
        parse_config(get_technique(name), setting)
        assert not always_computes(name, setting, n_steps)
        for key, knob in space.knobs.items():
            options = getattr(knob, "options", None) or range(knob.low, knob.high + 1)
            assert setting[key] in options


def test_without_guidance_there_is_nothing_to_search(pocket):
    space, _ = space_of("cfg_reuse", pocket, guidance_scale=1.0)
    assert space.knobs == {}
    assert space.first == ()


@pytest.mark.parametrize("name", ["pab", "cfg_reuse"])
def test_savings_stay_below_what_is_spent(name, pocket):
    _, saved = space_of(name, pocket)
    spent = {"pab": 3.0, "cfg_reuse": 8.0 / 2}[name]
    assert 0 < saved < spent
