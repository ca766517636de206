"""A planned schedule: from a record to a space, and on a pipeline."""

import numpy as np
import pytest
from example_prompts import OTHER_PROMPT, PROMPT

from sol.errors import ConfigError
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.schedule import parse_range
from sol.search.recording import record_videos
from sol.skills.registry import get_technique
from sol.space import Ranked, Space
from sol.technique import SpaceContext, StackItem, parse_config

PLANNED = get_technique("planned")


@pytest.fixture(scope="module")
def context(pocket):
    from dataclasses import replace

    from example_prompts import diagnosis_of

    workload = pocket.workload.with_overrides({"steps": 16})
    redundancy = record_videos(pocket.pipeline, workload, [(OTHER_PROMPT, 1)])
    diagnosis = replace(diagnosis_of((0.1,)), redundancy=redundancy)
    return SpaceContext(describe_roles(pocket.pipeline), workload, diagnosis)


def test_rivals_of_a_group_compute_the_same_number_of_steps(context):
    groups = PLANNED.rivals(context)
    sizes = [{len(parse_range(plan["skip"], 16)) for plan in group} for group in groups]
    assert all(len(size) == 1 for size in sizes)
    skipped = [size.pop() for size in sizes]
    assert skipped == sorted(set(skipped))
    assert all(len(group) > 1 for group in groups)
    for plan in (plan for group in groups for plan in group):
        parse_config(PLANNED, plan)
        assert not {0, 1, 15} & parse_range(plan["skip"], 16)


def test_the_space_offers_one_plan_a_size_the_gentlest_first(context):
    from dataclasses import replace

    groups = PLANNED.rivals(context)
    best = tuple(group[-1] for group in groups)
    space = PLANNED.space(replace(context, best_rivals=best))
    knob = space.knobs["skip"]
    assert isinstance(knob, Ranked)
    assert list(knob.options) == [plan["skip"] for plan in best]
    for first in space.first:
        config = space.complete(first)
        assert config in [dict(plan) for plan in best]


def test_without_a_record_there_is_no_plan(context):
    from dataclasses import replace

    blind = replace(context, diagnosis=replace(context.diagnosis, redundancy=None))
    assert PLANNED.rivals(blind) == ()
    assert PLANNED.space(blind) == Space()


def test_a_plan_skips_its_steps_and_stays_near_the_baseline(context, pipeline):
    workload = context.workload
    plan = PLANNED.rivals(context)[1][0]
    expected = render(pipeline, workload, PROMPT, 0).latents
    applied = install_stack(pipeline, (StackItem("planned", plan),))
    latents = render(pipeline, workload, PROMPT, 0).latents
    counts = applied.evidence()["planned"].counts
    assert counts["calls_skipped"] == len(parse_range(plan["skip"], 16))
    error = np.linalg.norm(latents - expected) / np.linalg.norm(expected)
    assert 0 < error < 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 9}, "planned for 9 steps, the video has 8"),
        ({"middle": 0.123}, "planned for a noise level of 0.1230 at step 4"),
    ],
)
def test_another_trajectory_is_refused(pipeline, workload, change, message):
    config = {"skip": "3", "steps": 8, **change}
    install_stack(pipeline, (StackItem("planned", config),))
    with pytest.raises(ConfigError, match=message):
        render(pipeline, workload, PROMPT, 0)
