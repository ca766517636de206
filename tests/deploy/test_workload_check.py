"""A call that the recipe was not measured with is refused before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
from deploy.recipes import halve_steps, with_stack, with_workload
from example_prompts import PROMPT

import sol
from sol.deploy.workload import find_call_mismatches
from sol.errors import TargetMismatchError
from sol.models.families import get_family
from sol.runtime.render import render


def arguments(pipeline, workload, **changes):
    return {"prompt": PROMPT, **get_family(pipeline).call_arguments(workload), **changes}


@pytest.mark.parametrize(
    ("name", "value", "is_refused"),
    [
        ("height", 96, True),
        ("width", 32, True),
        ("num_frames", 17, True),
        ("num_inference_steps", 9, True),
        ("guidance_scale", 5.0, True),
        ("frame_rate", 25, True),
        ("height", None, True),
        ("guidance_scale", 3, False),
        ("negative_prompt", "blurry", False),
        ("prompt", "another", False),
    ],
)
def test_each_argument_is_compared(pipeline, workload, name, value, is_refused):
    changed = arguments(pipeline, workload, **{name: value})
    found = list(find_call_mismatches(pipeline, workload, (), changed))
    assert [m.key for m in found] == ([f"target.workload: {name}"] if is_refused else [])


def test_an_argument_that_is_left_out_counts_as_the_pipelines_default(pipeline, workload):
    given = arguments(pipeline, workload)
    del given["height"]
    (mismatch,) = find_call_mismatches(pipeline, workload, (), given)
    assert (mismatch.recipe, mismatch.here, mismatch.remedy) == ("32", "512", "Pass height=32.")


def test_arguments_by_position_count(pipeline, workload):
    given = arguments(pipeline, workload)
    prompt = given.pop("prompt")
    negative, height = given.pop("negative_prompt"), given.pop("height")
    assert list(find_call_mismatches(pipeline, workload, (prompt, negative, height), given)) == []


def test_a_wrong_argument_is_left_to_the_pipeline(pipeline, recipe):
    with sol.apply(pipeline, recipe), pytest.raises(TypeError, match="no_such_argument"):
        pipeline(no_such_argument=1)


def test_nothing_is_computed_of_a_refused_call(pipeline, recipe, monkeypatch):
    def encode(*args, **kwargs):
        raise AssertionError("the prompt was encoded")

    monkeypatch.setattr(pipeline, "encode_prompt", encode)
    changed = arguments(pipeline, recipe.target.workload, width=96, num_frames=17)
    with sol.apply(pipeline, recipe), pytest.raises(TargetMismatchError) as caught:
        pipeline(**changed)
    assert [line.split(": the")[0] for line in str(caught.value).splitlines()] == [
        "target.workload: width",
        "target.workload: num_frames",
    ]


def test_other_steps_than_were_asked_for_are_noticed_by_the_clock(pipeline, recipe):
    halve_steps(pipeline.scheduler)
    given = arguments(pipeline, recipe.target.workload)
    with (
        pytest.raises(TargetMismatchError, match=r"workload: steps.* with 4, here it is 2\."),
        sol.apply(pipeline, recipe),
    ):
        pipeline(**given)


def test_an_allowed_workload_is_used_and_recorded(pipeline, recipe):
    caching = with_stack(recipe, text_kv={})
    wide = caching.target.workload.with_overrides({"width": 96})
    with sol.apply(pipeline, caching, allow=("workload",)) as applied:
        assert applied.overrides == {}
        frames = render(pipeline, wide, PROMPT, 0).frames
        assert (
            "width: the recipe was measured with 64, here it is 96"
            in (applied.record()["overrides"]["workload"])
        )
    assert frames.shape[2] == 96


def test_what_differed_before_and_in_the_last_call_is_recorded(pipeline, recipe):
    caching = with_workload(with_stack(recipe, text_kv={}), dtype="bfloat16")
    with sol.apply(pipeline, caching, allow=("workload",)) as applied:
        for changes in ({"width": 96}, {"steps": 3}):
            render(pipeline, recipe.target.workload.with_overrides(changes), PROMPT, 0)
        assert applied.overrides["workload"] == (
            "target.workload.dtype: the recipe was measured with bfloat16, here it is float32; "
            "target.workload: num_inference_steps: the recipe was measured with 4, here it is 3; "
            "target.workload: steps: the recipe was measured with 4, here it is 3"
        )


def test_the_recipes_own_workload_renders(pipeline, recipe, baseline):
    with sol.apply(pipeline, with_workload(recipe, negative_prompt="grey")) as applied:
        frames = render(pipeline, recipe.target.workload, PROMPT, 0).frames
        assert applied.evidence()["step_mask"].counts["calls_skipped"] == 1
    assert not np.array_equal(frames, baseline.frames)
