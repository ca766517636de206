"""prompt_projection: each text is projected once."""

from __future__ import annotations

import numpy as np
from example_prompts import PROMPT
from two_call_toy import ToyDenoiser, are_equal, record_calls, run_video, toy_roles

from sol.clock import Clock
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.cache.exact.prompt_projection import PROMPT_PROJECTION, PromptProjectionConfig
from sol.technique import StackItem


def test_the_text_is_projected_once_a_video(pipeline, workload):
    calls = [0]
    pipeline.transformer.caption_projection.register_forward_hook(
        lambda *_: calls.__setitem__(0, calls[0] + 1)
    )
    install_stack(pipeline, (StackItem("prompt_projection"),))
    for seed in (0, 1):
        render(pipeline, workload, PROMPT, seed)
    assert calls == [2]


def test_it_stays_exact_beside_the_other_exact_caches(pipeline, workload, baseline):
    names = ("prompt_projection", "text_kv", "rotary_tables", "modulation")
    with install_stack(pipeline, tuple(StackItem(name) for name in names)):
        for _ in range(2):
            assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, baseline.latents)


def test_chained_modules_with_further_arguments_see_each_branchs_own_text():
    denoiser, clock = ToyDenoiser(), Clock()
    expected = run_video(denoiser, clock)
    calls = {name: record_calls(getattr(denoiser, name), clock) for name in ("project", "norm")}
    installed = PROMPT_PROJECTION.install(
        toy_roles(denoiser), PromptProjectionConfig(), Schedule(), clock
    )
    actual = run_video(denoiser, clock)
    assert are_equal(actual["cond"], expected["cond"])
    assert are_equal(actual["uncond"], expected["uncond"])
    assert calls["project"] == calls["norm"] == [(0, "cond"), (0, "uncond")]
    counts = installed.evidence().counts
    assert counts["projections_computed"] == 4
    assert counts["projections_reused"] == 4 * (8 - 1)
