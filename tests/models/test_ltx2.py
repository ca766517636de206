"""LTX-2: the call that each version was published with, its text, its grid, its second stage."""

from __future__ import annotations

import pytest
import torch
from diffusers.pipelines.ltx2.utils import STAGE_2_DISTILLED_SIGMA_VALUES
from example_prompts import OTHER_PROMPT, PROMPT
from tiny import ltx2
from tiny_models import build_tiny, tiny_workload

from sol.models.adapters.ltx2 import stretch_coords
from sol.models.families import describe_roles, get_family
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.technique import StackItem

WORKLOAD = tiny_workload("ltx2")
STACK = (
    StackItem("easycache", {"threshold": 5.0, "warmup": 2, "tail": 0}),
    StackItem("modulation"),
    StackItem("rotary_tables"),
    StackItem("fused_qkv"),
)


def call(pipeline, prompt=PROMPT, scale=3.0, **changes):
    """Latents of video and sound."""
    workload = WORKLOAD.with_overrides({"guidance_scale": scale})
    arguments = {**get_family(pipeline).arguments(pipeline, workload), **changes}
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        result = pipeline(prompt=prompt, generator=generator, output_type="latent", **arguments)
    return result.frames, result.audio


@pytest.mark.parametrize(
    ("version", "scale", "expected"),
    [
        ("ltx2", 3.0, (True, False, False)),
        ("ltx2", 1.0, (False, False, False)),
        ("ltx2_3", 3.0, (True, True, True)),
        ("ltx2_3", 1.0, (False, False, False)),
    ],
)
def test_each_version_guides_as_its_makers_do(version, scale, expected):
    """By text, by perturbed attention, by isolated modalities."""
    pipeline = build_tiny(version)
    call(pipeline, scale=scale)
    assert expected == (
        pipeline.do_classifier_free_guidance,
        pipeline.do_spatio_temporal_guidance,
        pipeline.do_modality_isolation_guidance,
    )


def test_the_first_version_has_one_scale_for_video_and_sound():
    pipeline = build_tiny("ltx2")
    call(pipeline, scale=5.0)
    assert (pipeline.guidance_scale, pipeline.audio_guidance_scale) == (5.0, 5.0)


@pytest.mark.parametrize(("has_timestep", "is_text_only"), [(True, False), (False, True)])
def test_text_that_the_timestep_modulates_is_not_text_alone(has_timestep, is_text_only):
    """In LTX-2.5 it is modulated by tables, and its keys are the same in every step."""
    pipeline = ltx2.build_2_3(use_prompt_adaln_single=has_timestep)
    pipeline.set_progress_bar_config(disable=True)
    keys = []
    pipeline.transformer.transformer_blocks[1].attn2.to_k.register_forward_hook(
        lambda _m, _a, out: keys.append(out)
    )
    call(pipeline, scale=1.0)
    roles = describe_roles(pipeline)
    assert len(keys) == WORKLOAD.steps
    assert torch.equal(keys[0], keys[-1]) == is_text_only
    assert (Capability.TEXT_CROSS_ATTENTION in roles.capabilities) == is_text_only


def coords_of(sizes):
    rope = build_tiny("ltx2").transformer.rope
    return rope.prepare_video_coords(2, *sizes, torch.device("cpu"), fps=16)


def test_the_same_cells_stay_where_they_are():
    coords = coords_of((3, 4, 5))
    assert torch.allclose(stretch_coords(coords, (3, 4, 5), (3, 4, 5)), coords)


def test_fewer_cells_share_the_same_space_and_time():
    full = coords_of((3, 4, 6)).unflatten(2, (3, 4, 6))
    coarse = stretch_coords(full.flatten(2, 4), (3, 4, 6), (2, 2, 3)).unflatten(2, (2, 2, 3))
    assert torch.allclose(coarse[:, :, 0, 0, 0, 0], full[:, :, 0, 0, 0, 0])
    assert torch.allclose(coarse[:, :, -1, -1, -1, 1], full[:, :, -1, -1, -1, 1])
    # Rows and columns are twice as large; every cell begins where the one before ends.
    assert torch.allclose(coarse[:, 1, 0, 1, 0], torch.tensor([16.0, 32.0]))
    assert torch.allclose(coarse[:, 2, 0, 0, 2], torch.tensor([32.0, 48.0]))
    assert torch.allclose(coarse[:, 0, 0, 0, 0, 1], coarse[:, 0, 1, 0, 0, 0])


@pytest.mark.parametrize("version", ["ltx2", "ltx2_3"])
def test_a_second_stage_on_the_same_pipeline_sees_nothing_of_the_first(version):
    """Upsampled latents, other steps, no guidance; then a first stage again."""
    latents, sound = call(build_tiny(version))
    second_stage = {
        "scale": 1.0,
        "prompt": OTHER_PROMPT,
        "latents": latents.repeat_interleave(2, -1).repeat_interleave(2, -2),
        "audio_latents": sound,
        "width": 64,
        "height": 64,
        "num_inference_steps": len(STAGE_2_DISTILLED_SIGMA_VALUES),
        "sigmas": STAGE_2_DISTILLED_SIGMA_VALUES,
        "noise_scale": STAGE_2_DISTILLED_SIGMA_VALUES[0],
    }
    stages = ({}, second_stage, {})
    pipeline = build_tiny(version)
    install_stack(pipeline, STACK)
    for stage in stages:
        fresh = build_tiny(version)
        install_stack(fresh, STACK)
        for here, expected in zip(call(pipeline, **stage), call(fresh, **stage), strict=True):
            assert torch.equal(here, expected)
