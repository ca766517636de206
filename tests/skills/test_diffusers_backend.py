"""diffusers' caches behind Sol's contract: their known traps, and what they really leave out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import FirstBlockCacheConfig, TaylorSeerCacheConfig
from diffusers.hooks.taylorseer_cache import TaylorSeerCacheHook
from example_prompts import OTHER_PROMPT, PROMPT, diagnosis_of
from watched_videos import computed_steps, interrupt

from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import ConfigError, ConflictError, NoEffectError
from sol.models.families import describe_roles
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.cache.libraries.diffusers_backend import find_hooks
from sol.skills.registry import get_technique
from sol.space import Space
from sol.technique import SpaceContext, StackItem, parse_config

RATIOS = [1.0, 1.02, 1.01, 1.01]
BOLD = {
    "diffusers_first_block": {"threshold": 10.0, "warmup": 2},
    "diffusers_mag": {"mag_ratios": RATIOS, "threshold": 0.2, "retention_ratio": 0.25},
    "diffusers_taylorseer": {"cache_interval": 3, "disable_cache_before_step": 2},
}
NAMES = sorted(BOLD)


def after_an_interrupted_video(pipeline, workload):
    with pytest.raises(KeyboardInterrupt):
        render(pipeline, workload, OTHER_PROMPT, 1, on_step=interrupt)
    return render(pipeline, workload, PROMPT, 0).latents


def test_the_library_carries_state_from_an_interrupted_video_into_the_next(pocket, workload):
    """The trap itself: should the library ever mend it, our reset can go."""
    pipeline, fresh = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    for each in (pipeline, fresh):
        each.transformer.enable_cache(FirstBlockCacheConfig(threshold=10.0))
    after = after_an_interrupted_video(pipeline, workload)
    assert not np.array_equal(after, render(fresh, workload, PROMPT, 0).latents)


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_video_does_not_reach_the_next(name, pocket, workload):
    pipeline, fresh = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    for each in (pipeline, fresh):
        install_stack(each, (StackItem(name, BOLD[name]),))
    after = after_an_interrupted_video(pipeline, workload)
    assert np.array_equal(after, render(fresh, workload, PROMPT, 0).latents)


@pytest.mark.parametrize(
    ("name", "no_warmup"),
    [
        ("diffusers_mag", {"retention_ratio": 0.0}),
        ("diffusers_taylorseer", {"disable_cache_before_step": 1}),
    ],
)
@pytest.mark.parametrize("has_reset", [True, False])
def test_the_reset_is_what_keeps_videos_apart(
    name, no_warmup, has_reset, pocket, workload, monkeypatch
):
    """With nothing else to protect the first steps."""
    if not has_reset:
        monkeypatch.setattr(Clock, "on_video", lambda self, forget: lambda: None)
    pipeline, fresh = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    for each in (pipeline, fresh):
        install_stack(each, (StackItem(name, {**BOLD[name], **no_warmup}),))
    after = after_an_interrupted_video(pipeline, workload)
    is_equal = np.array_equal(after, render(fresh, workload, PROMPT, 0).latents)
    assert is_equal == has_reset


@pytest.mark.parametrize("has_reset", [True, False])
def test_first_block_takes_another_size_after_an_interrupted_video(
    has_reset, pipeline, workload, monkeypatch
):
    """Its first step is always computed, but is compared with what is left of the last video."""
    if not has_reset:
        monkeypatch.setattr(Clock, "on_video", lambda self, forget: lambda: None)
    install_stack(pipeline, (StackItem("diffusers_first_block", BOLD["diffusers_first_block"]),))
    with pytest.raises(KeyboardInterrupt):
        render(pipeline, workload, OTHER_PROMPT, 1, on_step=interrupt)
    wide = workload.with_overrides({"width": 96})
    if has_reset:
        assert np.isfinite(render(pipeline, wide, PROMPT, 0).latents).all()
        return
    with pytest.raises(RuntimeError, match="size of tensor"):
        render(pipeline, wide, PROMPT, 0)


@pytest.mark.parametrize("warmup", [1, 3, 5])
def test_first_block_computes_the_warmup_and_then_reuses(pipeline, workload, warmup):
    config = {"threshold": 10.0, "warmup": warmup}
    install_stack(pipeline, (StackItem("diffusers_first_block", config),))
    first, second, *_ = pipeline.transformer.transformer_blocks
    assert computed_steps(pipeline, first, workload) == list(range(8))
    assert computed_steps(pipeline, second, workload) == list(range(warmup))


def test_first_block_obeys_the_schedule(pipeline, workload):
    item = StackItem(
        "diffusers_first_block", {"threshold": 10.0, "warmup": 1}, Schedule(steps="2-3,6")
    )
    install_stack(pipeline, (item,))
    second = pipeline.transformer.transformer_blocks[1]
    assert computed_steps(pipeline, second, workload) == [0, 1, 4, 5, 7]


def test_mag_skips_in_runs_after_its_retained_steps(pipeline, workload):
    config = {**BOLD["diffusers_mag"], "threshold": 10.0, "max_skip_steps": 2}
    install_stack(pipeline, (StackItem("diffusers_mag", config),))
    first = pipeline.transformer.transformer_blocks[0]
    assert computed_steps(pipeline, first, workload) == [0, 1, 4, 7]


def test_mag_obeys_the_schedule_and_any_number_of_steps(pipeline, workload):
    config = {**BOLD["diffusers_mag"], "threshold": 10.0, "max_skip_steps": 9}
    item = StackItem("diffusers_mag", config, Schedule(steps="3-4,6"))
    install_stack(pipeline, (item,))
    first = pipeline.transformer.transformer_blocks[0]
    assert computed_steps(pipeline, first, workload) == [0, 1, 2, 5, 7]
    longer = workload.with_overrides({"steps": 16})
    assert computed_steps(pipeline, first, longer) == sorted(set(range(16)) - {4, 6})


def test_mag_without_ratios_is_refused(pipeline):
    with pytest.raises(ConfigError, match="needs mag_ratios"):
        install_stack(pipeline, (StackItem("diffusers_mag"),))


def diagnosis_with(ratios: dict[str, tuple[float, ...]]) -> Diagnosis:
    return diagnosis_of((0.1,), magnitude_ratio=ratios)


@pytest.mark.parametrize("ratios", [{}, {"cond": (1.0, 1.1)}, {"both": (1.0, 1.1, 0.9)}])
def test_mag_is_searched_only_where_the_ratios_were_measured(pipeline, workload, ratios):
    diagnosis = diagnosis_with(ratios)
    context = SpaceContext(describe_roles(pipeline), workload, diagnosis)
    technique = get_technique("diffusers_mag")
    space = technique.space(context)
    assert (space == Space()) == ("both" not in ratios)
    for setting in space.first:
        parse_config(technique, {**setting, **space.fixed})


@pytest.mark.parametrize("name", NAMES)
def test_first_settings_are_configs_within_the_knobs(name, pipeline, workload):
    diagnosis = diagnosis_with({"both": (1.0, 1.1)})
    technique = get_technique(name)
    space = technique.space(SpaceContext(describe_roles(pipeline), workload, diagnosis))
    assert space.first
    for setting in space.first:
        parse_config(technique, {**setting, **space.fixed})
        assert set(setting) == set(space.knobs)


def test_the_librarys_own_taylorseer_patterns_match_nothing(pocket, workload, baseline):
    """The trap itself: enabled, and without any effect."""
    pipeline = clone_pipeline(pocket.pipeline)
    pipeline.transformer.enable_cache(TaylorSeerCacheConfig(cache_interval=3))
    assert find_hooks(pipeline.transformer, TaylorSeerCacheHook) == []
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, baseline.latents)


def test_taylorseer_on_patterns_that_match_nothing_is_an_error(pipeline):
    before = fingerprint_pipeline(pipeline)
    config = {"cache_identifiers": ["^blocks.*attn", "^transformer_blocks.*attn"]}
    with pytest.raises(NoEffectError, match="no module name"):
        install_stack(pipeline, (StackItem("diffusers_taylorseer", config),))
    assert fingerprint_pipeline(pipeline) == before


def test_taylorseer_takes_patterns_that_match(pipeline, workload):
    config = {**BOLD["diffusers_taylorseer"], "cache_identifiers": [r".*\.attn[12]"]}
    applied = install_stack(pipeline, (StackItem("diffusers_taylorseer", config),))
    n_sites = 2 * len(pipeline.transformer.transformer_blocks)
    assert len(find_hooks(pipeline.transformer, TaylorSeerCacheHook)) == n_sites
    render(pipeline, workload, PROMPT, 0)
    applied.require_engaged()


@pytest.mark.parametrize(
    ("sites", "feed_forwards", "attentions"), [("last_block", 4, 4), ("attention", 8, 4)]
)
def test_taylorseer_leaves_out_its_sites(pipeline, workload, sites, feed_forwards, attentions):
    """Warm-up 0-1, then one step in three (3, 6): four of eight are computed."""
    block = pipeline.transformer.transformer_blocks[1]
    counts = {"ff": 0, "attn": 0}
    for name, module in (("ff", block.ff), ("attn", block.attn1.to_q)):
        module.register_forward_hook(lambda *_, n=name: counts.update({n: counts[n] + 1}))
    config = {**BOLD["diffusers_taylorseer"], "sites": sites}
    install_stack(pipeline, (StackItem("diffusers_taylorseer", config),))
    render(pipeline, workload, PROMPT, 0)
    assert counts == {"ff": feed_forwards, "attn": attentions}


def test_taylorseer_obeys_the_schedule(pipeline, workload):
    item = StackItem("diffusers_taylorseer", BOLD["diffusers_taylorseer"], Schedule(steps="4-5"))
    install_stack(pipeline, (item,))
    first = pipeline.transformer.transformer_blocks[0]
    assert computed_steps(pipeline, first, workload) == [0, 1, 2, 3, 6, 7]


@pytest.mark.parametrize("name", NAMES)
def test_what_never_skips_is_reported(name, pipeline, workload):
    inert = {"threshold": 1e-9} if name != "diffusers_taylorseer" else {"cache_interval": 1}
    with (
        pytest.raises(NoEffectError, match=f"{name} never engaged"),
        install_stack(pipeline, (StackItem(name, {**BOLD[name], **inert}),)),
    ):
        render(pipeline, workload, PROMPT, 0)


def test_evidence_counts_what_was_computed(pipeline, workload):
    applied = install_stack(
        pipeline, (StackItem("diffusers_first_block", BOLD["diffusers_first_block"]),)
    )
    render(pipeline, workload, PROMPT, 0)
    # 8 blocks, 8 steps: all in the 2 of the warm-up, then the first alone.
    counts = applied.evidence()["diffusers_first_block"].counts
    assert counts == {"blocks_computed": 2 * 8 + 6, "blocks_skipped": 6 * 7}


def test_two_of_the_librarys_caches_are_refused(pipeline):
    before = fingerprint_pipeline(pipeline)
    stack = tuple(StackItem(name, BOLD[name]) for name in NAMES[:2])
    with pytest.raises(ConflictError, match="one cache at a time"):
        install_stack(pipeline, stack)
    assert fingerprint_pipeline(pipeline) == before
    assert not pipeline.transformer.is_cache_enabled


def test_the_users_own_cache_stays_where_it_is(pipeline):
    pipeline.transformer.enable_cache(FirstBlockCacheConfig())
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(ConflictError, match="already has FirstBlockCacheConfig"):
        install_stack(pipeline, (StackItem("diffusers_taylorseer"),))
    assert fingerprint_pipeline(pipeline) == before
    assert pipeline.transformer.is_cache_enabled


@pytest.mark.parametrize("name", NAMES)
def test_undo_leaves_no_attribute_behind(name, pipeline, workload):
    render(pipeline, workload, PROMPT, 0)
    before = [set(vars(module)) for module in pipeline.transformer.modules()]
    applied = install_stack(pipeline, (StackItem(name, BOLD[name]), StackItem("text_kv")))
    render(pipeline, workload, PROMPT, 0)
    applied.undo()
    assert [set(vars(module)) for module in pipeline.transformer.modules()] == before


def test_a_denoiser_outside_the_library_says_why(pipeline):
    pipeline.transformer.transformer_blocks = torch.nn.ModuleList(
        [pipeline.transformer.transformer_blocks[0]]
    )
    lacks = describe_roles(pipeline).lacks
    assert "need 2 blocks or more" in lacks[Capability.DIFFUSERS_CACHE]
