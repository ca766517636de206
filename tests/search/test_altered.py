"""The pristine pipeline used in another way, and left as it was."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import build_tiny, tiny_workload

from sol.models.families import describe_roles
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.search.altered import JITTER, Altered, jittered_outputs

FAMILIES = ("ltx", "wan", "sana_video")


@pytest.mark.parametrize("family", FAMILIES)
def test_jitter_changes_every_output_by_no_more_than_rounding_does(family):
    pipeline, outputs = build_tiny(family), []
    module = describe_roles(pipeline).denoisers[0].module

    def note(_, __, output):
        outputs.append(output[0].detach().clone())

    first = module.register_forward_hook(note)
    with jittered_outputs(pipeline, 3):
        last = module.register_forward_hook(note)
        render(pipeline, tiny_workload(family), "a fox", 0)
        last.remove()
    first.remove()
    exact, noisy = outputs[0::2], outputs[1::2]
    assert len(exact) == len(noisy) > 0
    for before, after in zip(exact, noisy, strict=True):
        error = ((after - before).abs() / before.abs().clamp(min=1e-12)).max()
        assert 0 < float(error) <= JITTER * 1.001


def test_the_same_seed_gives_the_same_video_and_another_seed_another():
    pipeline, workload = build_tiny("ltx"), tiny_workload("ltx")

    def make(seed):
        with jittered_outputs(pipeline, seed):
            return render(pipeline, workload, "a fox", 0).latents

    assert np.array_equal(make(1), make(1))
    assert not np.array_equal(make(1), make(2))


def test_the_pipeline_is_as_before():
    pipeline, workload = build_tiny("ltx"), tiny_workload("ltx")
    mark, before = fingerprint_pipeline(pipeline), render(pipeline, workload, "a fox", 0)
    with jittered_outputs(pipeline, 0):
        pass
    assert fingerprint_pipeline(pipeline) == mark
    assert np.array_equal(render(pipeline, workload, "a fox", 0).latents, before.latents)


@pytest.mark.parametrize(
    ("arm", "is_rendered"),
    [
        (Altered(), False),
        (Altered(spoil=np.flip), False),
        (Altered(jitter=0), True),
        (Altered(prompt="a cat"), True),
        (Altered(overrides={"steps": 2}), True),
    ],
)
def test_only_what_differs_before_the_frames_is_rendered_anew(arm, is_rendered):
    assert arm.is_rendered is is_rendered
