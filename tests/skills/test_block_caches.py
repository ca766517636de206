"""What the block-level caches compute and leave out, counted by hooks of the test's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from example_prompts import OTHER_PROMPT, PROMPT, diagnosis_of
from tiny_models import build_tiny, build_tiny_experts, tiny_workload

from sol.clock import Clock
from sol.errors import ConfigError, NotApplicableError
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.cache.blocks.magcache import nearest_ratio
from sol.skills.cache.blocks.teacache import fit_coefficients, signal_reader
from sol.skills.registry import get_technique
from sol.technique import SpaceContext, StackItem, parse_config

BOLD = {
    "first_block": {"threshold": 9.0, "warmup": 2, "max_skips": 2},
    "teacache": {"threshold": 9.0, "warmup": 2, "max_skips": 2},
    "magcache": {"threshold": 9.0, "warmup": 2, "max_skips": 2, "ratios": {
        branch: [1.0, 0.99] for branch in ("both", "cond", "uncond")}},
}  # fmt: skip
NAMES = sorted(BOLD)
# Steps 0, 1 are warm-up, 7 the tail; in between, runs of two skipped steps.
COMPUTED = [0, 1, 4, 7]


def calls_by_step(pipeline, blocks, workload, applied, seed=0):
    """For each block, the steps at which it was called."""
    seen = [[] for _ in blocks]
    hooks = [
        block.register_forward_hook(lambda *_, i=i: seen[i].append(applied.clock.step))
        for i, block in enumerate(blocks)
    ]
    render(pipeline, workload, PROMPT, seed)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_left_out_in_runs_of_at_most_max_skips(pipeline, workload, name):
    blocks = list(pipeline.transformer.transformer_blocks)
    applied = install_stack(pipeline, (StackItem(name, BOLD[name]),))
    seen = calls_by_step(pipeline, blocks, workload, applied)
    always = 1 if name == "first_block" else 0
    assert seen == [list(range(8))] * always + [COMPUTED] * (8 - always)
    counts = applied.evidence()[name].counts
    assert (counts["runs_computed"], counts["runs_skipped"]) == (4, 4)
    assert counts["bytes_held"] > 0


@pytest.mark.parametrize(("front", "back"), [(1, 1), (3, 2), (7, 0)])
def test_dual_block_cache_computes_its_front_and_back_at_every_step(
    pipeline, workload, front, back
):
    blocks = list(pipeline.transformer.transformer_blocks)
    config = {**BOLD["first_block"], "front": front, "back": back}
    applied = install_stack(pipeline, (StackItem("first_block", config),))
    seen = calls_by_step(pipeline, blocks, workload, applied)
    every = list(range(8))
    assert seen == [every] * front + [COMPUTED] * (8 - front - back) + [every] * back


def test_a_refusal_by_the_second_expert_leaves_the_first_as_it_was():
    pipeline = build_tiny_experts()
    roles = describe_roles(pipeline)
    first, second = roles.denoisers
    roles = replace(roles, denoisers=(first, replace(second, blocks=second.blocks[:1])))
    technique = get_technique("first_block")
    with pytest.raises(ConfigError, match="none of the 1 blocks"):
        technique.install(roles, technique.config(), Schedule(), Clock())
    assert list(pipeline.transformer.blocks) == list(first.blocks)


def test_a_front_and_back_without_a_middle_are_refused(pipeline):
    item = StackItem("first_block", {"front": 5, "back": 3})
    with pytest.raises(ConfigError, match="none of the 8 blocks"):
        install_stack(pipeline, (item,))


@pytest.mark.parametrize("name", NAMES)
def test_the_schedule_limits_where_blocks_are_left_out(pipeline, workload, name):
    blocks = list(pipeline.transformer.transformer_blocks)
    item = StackItem(name, BOLD[name], Schedule(steps="3,6-7"))
    applied = install_stack(pipeline, (item,))
    assert calls_by_step(pipeline, blocks, workload, applied)[-1] == [0, 1, 2, 4, 5, 7]


@pytest.mark.parametrize("name", NAMES)
def test_a_higher_threshold_leaves_out_more(pipeline, workload, name):
    skipped = []
    for threshold in (0.005, 0.1, 9.0):
        config = {**BOLD[name], "threshold": threshold, "max_skips": 6}
        applied = install_stack(pipeline, (StackItem(name, config),))
        render(pipeline, workload, PROMPT, 0)
        skipped.append(applied.evidence()[name].counts["runs_skipped"])
        applied.undo()
    assert skipped == sorted(skipped)
    assert skipped[0] < skipped[-1]


@pytest.mark.parametrize("reuse", ["output", "residual", "taylor1", "taylor2", "ridge"])
@pytest.mark.parametrize("name", [*NAMES, "easycache"])
def test_every_cache_takes_every_kind_of_reuse(pipeline, workload, baseline, name, reuse):
    """At one skip in the calm end of a short video, all of them stay near the baseline."""
    config = {**BOLD.get(name, {"threshold": 9.0, "warmup": 2}), "reuse": reuse}
    if reuse == "ridge":
        config["ridge"] = [0.2, 0.1]
    item = StackItem(name, config, Schedule(steps="6"))
    with install_stack(pipeline, (item,)):
        latents = render(pipeline, workload, PROMPT, 0).latents
    error = np.linalg.norm(latents - baseline.latents) / np.linalg.norm(baseline.latents)
    assert 0 < error < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_beyond_its_memory_limit_a_cache_computes(pipeline, workload, baseline, name):
    item = StackItem(name, {**BOLD[name], "max_mb": 0.001})
    applied = install_stack(pipeline, (item,))
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, baseline.latents)
    counts = applied.evidence()[name].counts
    assert (counts["runs_skipped"], counts["not_kept"]) == (0, 8)
    assert counts["bytes_held"] <= 0.001 * 2**20


@pytest.mark.parametrize("name", ["first_block", "magcache"])
def test_branches_decide_together_or_apart(name):
    """A Wan-like pipeline calls its denoiser for each branch; here they would disagree."""
    pipeline, workload = build_tiny("wan"), tiny_workload("wan").with_overrides({"steps": 8})
    seen = {}
    for per_branch in (False, True):
        config = {**BOLD[name], "per_branch": per_branch}
        if name == "magcache":
            config["ratios"] = {"cond": [1.0, 1.0], "uncond": [1.0, 3.0]}
            config["threshold"] = 0.5
        else:
            config["threshold"] = threshold_between_branches(pipeline, workload)
        last = pipeline.transformer.blocks[-1]
        applied = install_stack(pipeline, (StackItem(name, config),))
        calls = []
        hook = last.register_forward_hook(
            lambda *_, calls=calls, clock=applied.clock: calls.append((clock.step, clock.branch))
        )
        render(pipeline, workload, PROMPT, 0)
        hook.remove()
        applied.undo()
        seen[per_branch] = {
            b: {s for s, branch in calls if branch == b} for b in ("cond", "uncond")
        }
    assert seen[False]["cond"] == seen[False]["uncond"]
    assert seen[True]["cond"] != seen[True]["uncond"]


def threshold_between_branches(pipeline, workload):
    """A threshold at which the branches' first blocks disagree about some step."""
    changes = {"cond": [], "uncond": []}
    before = {}
    applied = install_stack(pipeline, ())
    block = pipeline.transformer.blocks[0]

    def note(_, args, output):
        added = output - args[0]
        branch = applied.clock.branch
        if branch in before:
            change = (added - before[branch]).abs().mean() / before[branch].abs().mean()
            changes[branch].append(float(change))
        if applied.clock.step <= 1:
            before[branch] = added

    hook = block.register_forward_hook(note)
    render(pipeline, workload, PROMPT, 0)
    hook.remove()
    applied.undo()
    # Against step 1, the change at step 2: the first that may be left out.
    return float(np.mean([changes["cond"][1], changes["uncond"][1]]))


@pytest.mark.parametrize("name", NAMES)
def test_compiled_blocks_stay_compiled(pipeline, workload, name):
    stack = (StackItem("regional_compile"), StackItem(name, BOLD[name]))
    applied = install_stack(pipeline, stack)
    compiled = render(pipeline, workload, PROMPT, 0).latents
    applied.require_engaged()
    counts = applied.evidence()["regional_compile"].counts
    assert counts["graph_runs"] == counts["block_calls"]
    applied.undo()
    torch._dynamo.reset()
    with install_stack(pipeline, (StackItem(name, BOLD[name]),)):
        eager = render(pipeline, workload, PROMPT, 0).latents
    assert np.abs(compiled - eager).max() < 1e-3


def test_the_polynomial_is_that_of_a_least_squares_fit():
    changes = np.linspace(0.05, 0.5, 12)
    wanted = (3.0, -2.0, 1.0, 0.5, 0.02)
    fitted = fit_coefficients(changes, np.polyval(wanted, changes))
    assert fitted == pytest.approx(wanted, rel=1e-4)


def test_few_steps_fit_a_lower_degree():
    coefficients = fit_coefficients((0.1, 0.2, 0.3), (0.2, 0.4, 0.6))
    assert coefficients == pytest.approx((0, 0, 0, 2, 0), abs=1e-9)
    assert fit_coefficients((0.1, 0.2), (0.5, 0.5)) == (0.0, 0.0, 0.0, 1.0, 0.0)


def test_teacache_can_watch_the_timestep_embedding(pipeline, workload):
    config = {**BOLD["teacache"], "signal": "timestep"}
    with install_stack(pipeline, (StackItem("teacache", config),)) as applied:
        render(pipeline, workload, PROMPT, 0)
    assert applied.evidence()["teacache"].counts["runs_skipped"] > 0


def test_a_family_without_modulated_input_is_told_what_else_to_watch(pipeline):
    from dataclasses import replace

    denoiser = replace(describe_roles(pipeline).denoisers[0], modulated_input=None)
    with pytest.raises(NotApplicableError, match="use signal 'timestep'"):
        signal_reader(denoiser, "modulated_input")


@pytest.mark.parametrize(
    ("step", "n_steps", "expected"), [(0, 8, 1.0), (7, 8, 4.0), (5, 16, 2.0), (0, 1, 1.0)]
)
def test_ratios_of_another_number_of_steps_take_the_nearest(step, n_steps, expected):
    assert nearest_ratio((1.0, 2.0, 3.0, 4.0), step, n_steps) == expected


@pytest.mark.parametrize("name", [*NAMES, "easycache", "step_mask"])
def test_first_settings_are_configs_within_the_knobs(pipeline, workload, name):
    changes = (0.3, 0.2, 0.1, 0.1, 0.1, 0.2, 0.4)
    diagnosis = diagnosis_of(
        changes,
        signal_change={"modulated_input": changes, "timestep": changes},
        magnitude_ratio={"both": (1.0,) * 8},
    )
    technique = get_technique(name)
    space = technique.space(SpaceContext(describe_roles(pipeline), workload, diagnosis))
    assert space.first
    for setting in space.first:
        assert set(setting) == set(space.knobs)
        parse_config(technique, space.complete(setting))


def test_published_coefficients_are_taken_for_exactly_their_denoiser(pipeline, workload):
    from sol.models.adapters.published import find_teacache

    roles = describe_roles(pipeline)
    config = type("Config", (), {
        "num_layers": 28, "num_attention_heads": 32, "attention_head_dim": 64})  # fmt: skip
    published = find_teacache("ltx", config)
    assert roles.denoisers[0].published_teacache is None
    known = replace(roles, denoisers=(replace(roles.denoisers[0], published_teacache=published),))
    space = get_technique("teacache").space(SpaceContext(known, workload, diagnosis_of((0.1,))))
    assert space.fixed["coefficients"] == list(published.coefficients)
    assert [first["threshold"] for first in space.first] == [0.03, 0.05]


def test_an_interrupted_step_leaves_no_half_decision(pipeline, workload):
    """The video ends inside a denoiser call, between two blocks of a run."""
    item = StackItem("first_block", BOLD["first_block"])
    applied = install_stack(pipeline, (item,))
    expected = render(pipeline, workload, PROMPT, 0).latents

    def interrupt(*_):
        if applied.clock.step == 4:
            raise KeyboardInterrupt

    hook = pipeline.transformer.transformer_blocks[3].inner.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        render(pipeline, workload, OTHER_PROMPT, 1)
    hook.remove()
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, expected)


@pytest.mark.parametrize("model", ["ltx", "wan", "sana_video"])
@pytest.mark.parametrize("name", NAMES)
def test_other_caches_go_on_top(model, name):
    """What is installed later describes the pipeline anew, slots and all."""
    pipeline, workload = build_tiny(model), tiny_workload(model).with_overrides({"steps": 8})
    stack = (
        StackItem("pab", {"self_every": 2, "cross_every": 2, "warmup": 2}),
        StackItem(name, {**BOLD[name], "max_skips": 1}),
        StackItem("cfg_reuse", {"every": 2, "warmup": 2}),
        StackItem("text_kv"),
    )
    expected = render(pipeline, workload, PROMPT, 0).latents
    applied = install_stack(pipeline, stack)
    first = render(pipeline, workload, PROMPT, 0).latents
    render(pipeline, workload, OTHER_PROMPT, 1)
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, first)
    assert applied.evidence()[name].engaged
    applied.undo()
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, expected)
