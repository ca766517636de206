"""What is recorded of real videos, against the same quantities computed in another way."""

import numpy as np
import pytest
import torch
from example_prompts import PROMPT
from tiny_models import build_tiny, tiny_workload

from sol.models.families import describe_roles
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.search.recording import record_videos

FAMILIES = ("ltx", "wan", "sana_video", "ltx2_3")
N_STEPS = 6
BRANCHES = {
    "ltx": ("both",),
    "wan": ("cond", "uncond"),
    "sana_video": ("both",),
    "ltx2": ("both", "stg", "modality"),
}


@pytest.fixture(scope="module", params=FAMILIES)
def recorded(request):
    pipeline = build_tiny(request.param)
    workload = tiny_workload(request.param).with_overrides({"steps": N_STEPS})
    return pipeline, workload, record_videos(pipeline, workload, [(PROMPT, 0)])


def test_there_is_a_value_for_every_step_block_and_branch(recorded):
    pipeline, _, redundancy = recorded
    roles = describe_roles(pipeline)
    assert redundancy.n_videos == 1
    assert len(redundancy.positions) == N_STEPS
    assert np.asarray(redundancy.gram).shape == (2 * N_STEPS, 2 * N_STEPS)
    assert len(redundancy.output_change) == N_STEPS - 1
    assert np.asarray(redundancy.block_change).shape == (
        len(roles.denoisers[0].blocks), N_STEPS - 1
    )  # fmt: skip
    assert set(redundancy.signal_change) == {"modulated_input", "timestep"}
    assert {len(values) for values in redundancy.signal_change.values()} == {N_STEPS - 1}
    assert set(redundancy.magnitude_ratio) == set(BRANCHES[roles.family])
    assert {values[0] for values in redundancy.magnitude_ratio.values()} == {1.0}
    assert len(redundancy.guidance_gap) == N_STEPS
    assert min(redundancy.guidance_gap) > 0


def test_the_products_are_those_of_the_latents_that_the_scheduler_sees(recorded):
    """The latents after step t are those before step t + 1, which `render` shows as well."""
    pipeline, workload, redundancy = recorded
    seen = []
    render(pipeline, workload, PROMPT, 0, on_step=lambda _, latents: seen.append(latents.clone()))
    gram = np.asarray(redundancy.gram)
    after = torch.stack([t.flatten().double() for t in seen[:-1]])
    expected = (after @ after.T).numpy()
    actual = gram[1:N_STEPS, 1:N_STEPS]
    assert np.allclose(actual / actual[0, 0], expected / expected[0, 0], rtol=1e-4)
    assert np.mean(np.diag(gram)[N_STEPS:]) == pytest.approx(1.0)


def test_recording_changes_nothing_and_leaves_nothing_behind(recorded):
    pipeline, workload, _ = recorded
    before, fingerprint = render(pipeline, workload, PROMPT, 1), fingerprint_pipeline(pipeline)
    watched = {name: set(vars(pipeline.scheduler)) for name in ("scheduler",)}
    record_videos(pipeline, workload, [(PROMPT, 0)])
    assert fingerprint_pipeline(pipeline) == fingerprint
    assert "step" not in set(vars(pipeline.scheduler)) - watched["scheduler"]
    assert np.array_equal(render(pipeline, workload, PROMPT, 1).latents, before.latents)


def test_two_videos_are_averaged(recorded):
    pipeline, workload, one = recorded
    other = record_videos(pipeline, workload, [(PROMPT, 1)])
    both = record_videos(pipeline, workload, [(PROMPT, 0), (PROMPT, 1)])
    assert both.n_videos == 2
    mean = np.mean([one.output_change, other.output_change], axis=0)
    assert np.allclose(both.output_change, mean)


def test_without_guidance_there_is_no_gap(recorded):
    pipeline, workload, _ = recorded
    plain = workload.with_overrides({"guidance_scale": 1.0})
    assert record_videos(pipeline, plain, [(PROMPT, 0)]).guidance_gap == ()
