"""The lossy caches together in one stack."""

from __future__ import annotations

import numpy as np
import pytest
from example_prompts import OTHER_PROMPT, PROMPT

from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.technique import StackItem

STACK = (
    StackItem("pab", {"self_every": 2, "cross_every": 3, "warmup": 2, "tail": 1}),
    StackItem("cfg_reuse", {"every": 2, "warmup": 2, "tail": 0}),
    StackItem("step_mask", {"skip": "9"}, Schedule(steps="8-11")),
    StackItem("easycache", {"threshold": 5.0, "warmup": 4, "max_skips": 1}, Schedule(steps="0-7")),
    StackItem("text_kv"),
    StackItem("prompt_projection"),
    StackItem("rotary_tables"),
    StackItem("modulation"),
)
LOSSY = ("pab", "cfg_reuse", "step_mask", "easycache")


@pytest.fixture(scope="module")
def longer(workload):
    return workload.with_overrides({"steps": 12})


def test_every_one_engages_and_undo_is_exact(pipeline, longer):
    before, fingerprint = render(pipeline, longer, PROMPT, 0), fingerprint_pipeline(pipeline)
    with install_stack(pipeline, STACK) as applied:
        accelerated = render(pipeline, longer, PROMPT, 0)
        assert all(evidence.engaged for evidence in applied.evidence().values())
    assert not np.array_equal(accelerated.latents, before.latents)
    assert np.array_equal(render(pipeline, longer, PROMPT, 0).latents, before.latents)
    assert fingerprint_pipeline(pipeline) == fingerprint


@pytest.mark.parametrize("guidance_scale", [3.0, 1.0])
def test_no_state_crosses_videos(pocket, longer, guidance_scale):
    """Neither from a whole video nor from one that was stopped half-way."""
    target = longer.with_overrides({"guidance_scale": guidance_scale})
    second, first = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    install_stack(second, STACK)
    render(second, longer, OTHER_PROMPT, 1)
    with pytest.raises(KeyboardInterrupt):
        render(second, longer, OTHER_PROMPT, 2, on_step=_interrupt_at_step_5)
    install_stack(first, STACK)
    assert np.array_equal(
        render(second, target, PROMPT, 0).latents, render(first, target, PROMPT, 0).latents
    )


def test_the_exact_ones_change_nothing_in_the_stack(pocket, longer):
    whole, lossy = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    install_stack(whole, STACK)
    install_stack(lossy, tuple(item for item in STACK if item.technique in LOSSY))
    assert np.array_equal(
        render(whole, longer, PROMPT, 0).latents, render(lossy, longer, PROMPT, 0).latents
    )


def test_without_guidance_all_but_cfg_reuse_engage(pipeline, longer):
    applied = install_stack(pipeline, STACK)
    render(pipeline, longer.with_overrides({"guidance_scale": 1.0}), PROMPT, 0)
    engaged = {name for name, evidence in applied.evidence().items() if evidence.engaged}
    assert engaged == {item.technique for item in STACK} - {"cfg_reuse"}


def _interrupt_at_step_5(step, latents):
    if step == 5:
        raise KeyboardInterrupt
