"""shared_prefix: the first self-attention once for both branches that are given the same."""

from __future__ import annotations

import pytest
import torch
from contracts.models import BATCH, PLAIN, UNGUIDED, denoise, get_model
from contracts.settings import SETTINGS
from example_prompts import DIAGNOSIS, OTHER_PROMPT, PROMPT
from two_call_toy import ToyDenoiser, are_equal, record_calls, run_video, toy_roles

from sol.clock import Clock
from sol.errors import NoEffectError
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.kernel_fusion.attention.shared_prefix import SHARED_PREFIX, SharedPrefixConfig
from sol.skills.kernel_fusion.attention.shared_prefix_site import SharedPrefixSite
from sol.technique import SpaceContext, StackItem

SHARED = StackItem("shared_prefix")
N_STEPS = 8


def rows_of_the_first_attention(pipeline):
    """Rows of each call that computes it."""
    rows = []
    (denoiser,) = describe_roles(pipeline).denoisers
    denoiser.self_attention[0].register_forward_hook(
        lambda _m, args, kwargs, out: rows.append(len(out)), with_kwargs=True
    )
    return rows


def clone_of(model):
    return clone_pipeline(get_model(model).pipeline), get_model(model).workload


@pytest.mark.parametrize(
    ("model", "call", "expected"),
    [
        ("pocket", PLAIN, [2] + [1] * 7),
        ("sana_video", PLAIN, [2] + [1] * 7),
        ("wan", PLAIN, [1, 1] + [1] * 7),
        ("pocket", BATCH, [4] + [2] * 7),
        ("wan", BATCH, [2, 2] + [2] * 7),
        ("pocket", UNGUIDED, [1] * 8),
        ("wan", UNGUIDED, [1] * 8),
    ],
)
def test_from_the_second_step_on_it_is_computed_once(model, call, expected):
    pipeline, workload = clone_of(model)
    rows = rows_of_the_first_attention(pipeline)
    baseline = denoise(pipeline, workload, call)
    rows.clear()
    applied = install_stack(pipeline, (SHARED,))
    latents = denoise(pipeline, workload, call)
    assert rows == expected
    assert abs(latents - baseline).max() < 1e-4
    counts = applied.evidence()["shared_prefix"].counts
    assert counts["attentions_shared"] == (0 if call is UNGUIDED else 7)
    assert counts["videos_that_differ"] == 0


def test_where_the_latents_of_the_branches_differ_nothing_is_shared(pipeline, workload):
    def disturb(_module, args, kwargs):
        kwargs["hidden_states"] = kwargs["hidden_states"].clone()
        kwargs["hidden_states"][0, 0, 0] += 1e-6
        return args, kwargs

    hook = pipeline.transformer.register_forward_pre_hook(disturb, with_kwargs=True)
    rows = rows_of_the_first_attention(pipeline)
    expected = render(pipeline, workload, PROMPT, 0).latents
    rows.clear()
    applied = install_stack(pipeline, (SHARED,))
    assert (render(pipeline, workload, PROMPT, 0).latents == expected).all()
    assert rows == [2] * N_STEPS
    with pytest.raises(NoEffectError, match="'videos_that_differ': 1"):
        applied.require_engaged()
    hook.remove()
    rows.clear()
    render(pipeline, workload, PROMPT, 0)
    assert rows == [2] + [1] * 7


@pytest.fixture
def toy():
    """A toy with the technique, its like without, and the clock."""
    denoiser, clock = ToyDenoiser(), Clock()
    SHARED_PREFIX.install(toy_roles(denoiser), SharedPrefixConfig(), Schedule(), clock)
    return denoiser, ToyDenoiser(), clock


def test_the_unconditional_call_returns_what_the_conditional_one_computed(toy):
    denoiser, plain, clock = toy
    calls = record_calls(denoiser.blocks[0].attn1.inner, clock)
    for seed in (0, 1):
        outputs = run_video(denoiser, clock, seed=seed)
        expected = run_video(plain, Clock(), seed=seed)
        assert all(are_equal(outputs[name], expected[name]) for name in outputs)
    video = [(0, "cond"), (0, "uncond"), *((step, "cond") for step in range(1, N_STEPS))]
    assert calls == video * 2


@pytest.mark.parametrize(
    ("branches", "skip", "n_calls"),
    [
        (("cond",), (), N_STEPS),
        (("uncond",), (), N_STEPS),
        (("cond", "uncond"), (0, 1, 4), 6),
        (("uncond", "cond"), (), 2 * N_STEPS),
    ],
    ids=["unguided", "conditional calls left out", "steps left out", "other order"],
)
def test_calls_that_do_not_follow_one_another_compute(toy, branches, skip, n_calls):
    denoiser, plain, clock = toy
    calls = record_calls(denoiser.blocks[0].attn1.inner, clock)
    outputs = run_video(denoiser, clock, branches=branches, skip=skip)
    expected = run_video(plain, Clock(), branches=branches, skip=skip)
    assert all(are_equal(outputs[name], expected[name]) for name in outputs)
    assert len(calls) == n_calls


def test_two_calls_on_different_latents_share_nothing(toy):
    denoiser, plain, clock = toy

    def disturb(_module, args):
        latents, *others = args
        return (latents + 1e-3 * (clock.branch == "uncond"), *others)

    for module in (denoiser, plain):
        module.register_forward_pre_hook(disturb)
    calls = record_calls(denoiser.blocks[0].attn1.inner, clock)
    outputs = run_video(denoiser, clock)
    expected = run_video(plain, clock)
    assert all(are_equal(outputs[name], expected[name]) for name in outputs)
    assert len(calls) == 2 * N_STEPS


def test_nothing_is_held_between_calls(pipeline, workload):
    install_stack(pipeline, (SHARED,))
    site = pipeline.transformer.transformer_blocks[0].attn1
    held = []
    pipeline.transformer.transformer_blocks[1].register_forward_pre_hook(
        lambda *_: held.append(site.seen is not None)
    )
    render(pipeline, workload, PROMPT, 0)
    assert held == [True] + [False] * 7
    assert (site.seen, site.reuse, site.watch, site.halve) == (None, None, False, False)


@pytest.mark.parametrize(
    "others",
    [
        (StackItem("cfg_reuse", {"every": 3, "mode": "difference", "warmup": 2, "tail": 1}),),
        (StackItem("pab", {"self_every": 2, "cross_every": 3, "warmup": 2, "tail": 1}),),
        (StackItem("step_mask", {"skip": "3,5"}), StackItem("text_kv")),
        (StackItem("diffusers_taylorseer", SETTINGS["diffusers_taylorseer"].bold),),
        (StackItem("cache_dit", SETTINGS["cache_dit"].bold),),
        (StackItem("teacache", {"threshold": 9.0, "warmup": 2, "max_skips": 2}),),
        (
            StackItem("int8_dynamic", {"layers": "feed_forward=all"}),
            StackItem("packed_linear"),
            StackItem("rotary_tables"),
        ),
    ],
    ids=lambda items: "+".join(item.technique for item in items),
)
@pytest.mark.parametrize("model", ["pocket", "wan"])
def test_with_others_it_changes_nothing_but_rounding(model, others):
    (alone, workload), (together, _) = clone_of(model), clone_of(model)
    install_stack(alone, others)
    applied = install_stack(together, (*others, SHARED))
    for prompt, seed in ((OTHER_PROMPT, 1), (PROMPT, 0)):
        expected = render(alone, workload, prompt, seed).latents
        latents = render(together, workload, prompt, seed).latents
        assert abs(latents - expected).max() < 1e-3
    applied.require_engaged()


def test_a_cache_inside_may_return_the_whole_batch():
    class Kept(torch.nn.Module):
        def forward(self, x):
            return torch.ones(4, 3)

    site = SharedPrefixSite(Kept())
    site.halve = True
    assert site(torch.zeros(4, 3)).shape == (4, 3)


@pytest.mark.parametrize(("scale", "n_first"), [(3.0, 1), (1.0, 0)])
def test_without_guidance_there_is_nothing_to_search(pipeline, workload, scale, n_first):
    target = workload.with_overrides({"guidance_scale": scale})
    space = SHARED_PREFIX.space(SpaceContext(describe_roles(pipeline), target, DIAGNOSIS))
    assert len(space.first) == n_first


@pytest.mark.parametrize("model", ["pocket", "wan", "sana_video"])
def test_compiled_blocks_have_a_graph_for_each_of_its_states(model):
    """Whatever compiles it: the backend only counts, and runs the graph as Dynamo made it."""
    pipeline, workload = clone_of(model)
    expected = render(pipeline, workload, PROMPT, 0).latents
    applied = install_stack(pipeline, (SHARED,))
    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph.forward

    for block in describe_roles(pipeline).denoisers[0].blocks:
        block.compile(backend=count, fullgraph=True)
    latents = render(pipeline, workload, PROMPT, 0).latents
    torch._dynamo.reset()
    applied.require_engaged()
    assert abs(latents - expected).max() < 1e-4
    # The first block watching and sharing, and all others.
    assert len(graphs) == 3
