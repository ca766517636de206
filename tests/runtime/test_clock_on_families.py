"""The clock on the real pipelines of every family: steps, branches, guidance, sigma."""

from __future__ import annotations

import pytest
from contracts.models import BATCH, PLAIN, denoise
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from tiny_models import FAMILIES, TINY, VARIANTS, build_tiny, build_tiny_experts, tiny_workload

from sol.clock import Clock
from sol.models.families import describe_roles
from sol.runtime.ticker import start_ticking

# Their schedulers know variances of a diffusion, not the levels of flow matching.
WITHOUT_SIGMAS = ("cogvideox",)


def watch(pipeline):
    """The clock, and what it says at every denoiser call: (denoiser, step, branch, sigma)."""
    clock, seen = Clock(), []
    roles = describe_roles(pipeline)
    start_ticking(pipeline, roles, clock)
    for denoiser in roles.denoisers:
        denoiser.module.register_forward_pre_hook(
            lambda _m, _a, name=denoiser.name: seen.append(
                (name, clock.step, clock.branch, clock.sigma)
            )
        )
    return clock, seen


@pytest.mark.parametrize("call", [PLAIN, BATCH], ids=["single", "batch"])
@pytest.mark.parametrize(("scale", "is_guided"), [(3.0, True), (1.0, False)])
@pytest.mark.parametrize("family", [*FAMILIES, *VARIANTS])
def test_steps_branches_and_guidance(family, scale, is_guided, call):
    pipeline = build_tiny(family)
    clock, seen = watch(pipeline)
    workload = tiny_workload(family).with_overrides({"guidance_scale": scale})
    for video in (1, 2):
        seen.clear()
        denoise(pipeline, workload, call)
        assert (clock.video, clock.n_steps, clock.is_guided) == (video, 8, is_guided)
        tiny = {**TINY, **VARIANTS}[family]
        branches = tiny.branches if is_guided else tiny.unguided
        assert [(step, branch) for _, step, branch, _ in seen] == [
            (step, branch) for step in range(8) for branch in branches
        ]


def test_guidance_is_read_anew_for_every_video():
    pipeline = build_tiny("wan")
    clock, _ = watch(pipeline)
    guided = []
    for scale in (3.0, 1.0, 3.0):
        denoise(pipeline, tiny_workload("wan").with_overrides({"guidance_scale": scale}), PLAIN)
        guided.append(clock.is_guided)
    assert guided == [True, False, True]


def test_steps_count_on_from_one_expert_to_the_other():
    pipeline = build_tiny_experts()
    _, seen = watch(pipeline)
    denoise(pipeline, tiny_workload("wan"), PLAIN)
    assert [(step, branch) for _, step, branch, _ in seen] == [
        (step, branch) for step in range(8) for branch in ("cond", "uncond")
    ]
    names = [name for name, *_ in seen]
    switch = names.index("transformer_2")
    assert 0 < switch < len(names)
    assert set(names[:switch]) == {"transformer"}
    assert set(names[switch:]) == {"transformer_2"}


@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in WITHOUT_SIGMAS])
def test_sigma_falls_from_full_noise(family):
    """A flow-matching sigma is the share of noise in the latents."""
    pipeline = build_tiny(family)
    _, seen = watch(pipeline)
    denoise(pipeline, tiny_workload(family), PLAIN)
    by_step = {step: sigma for _, step, _, sigma in seen}
    sigmas = [by_step[step] for step in range(8)]
    assert sigmas == [float(sigma) for sigma in pipeline.scheduler.sigmas[:8]]
    assert sigmas == sorted(sigmas, reverse=True)
    assert sigmas[0] > 0.9 > sigmas[-1] > 0.0


def test_sigma_with_the_flow_euler_scheduler_on_sana_video():
    pipeline = build_tiny("sana_video")
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    _, seen = watch(pipeline)
    denoise(pipeline, tiny_workload("sana_video"), PLAIN)
    assert [sigma for *_, sigma in seen] == [float(s) for s in pipeline.scheduler.sigmas[:8]]


@pytest.mark.parametrize(
    ("family", "scheduler"),
    [
        ("sana_video", DDIMScheduler),
        ("cogvideox", CogVideoXDDIMScheduler),
        ("cogvideox", CogVideoXDPMScheduler),
    ],
)
def test_a_scheduler_without_sigmas_leaves_sigma_open(family, scheduler):
    pipeline = build_tiny(family)
    pipeline.scheduler = scheduler()
    clock, seen = watch(pipeline)
    denoise(pipeline, tiny_workload(family), PLAIN)
    assert [(step, sigma) for _, step, _, sigma in seen] == [(step, None) for step in range(8)]
    assert clock.n_steps == 8
