"""token_prune: the share of tokens, what the predictions are worth, its space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from contracts.models import PLAIN, denoise
from example_prompts import DIAGNOSIS, OTHER_PROMPT, PROMPT
from tiny_models import build_tiny, tiny_workload

from sol.errors import ConfigError, NotApplicableError
from sol.models.families import describe_roles, get_family
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.skills.registry import get_technique
from sol.skills.token_pruning.selection.by_hidden_states import HIDDEN_SCORES
from sol.space import Float, Int, Space
from sol.technique import SpaceContext, StackItem, parse_config

CONFIG = {"keep": 0.5, "warmup": 3, "tail": 1, "refresh": 2}
OURS = ("token_prune", "ras", "stale_tokens", "tome")


def latents_of(pipeline, workload, **config):
    """With the technique at work, and what it counted."""
    with install_stack(pipeline, (StackItem("token_prune", {**CONFIG, **config}),)) as applied:
        latents = denoise(pipeline, workload, PLAIN)
        return latents, applied.evidence()["token_prune"].counts


@pytest.mark.parametrize("score", (*HIDDEN_SCORES, "velocity", "uniform", "random"))
def test_every_score_leaves_out_the_same_number_and_other_tokens(pipeline, workload, score):
    latents, counts = latents_of(pipeline, workload, score=score)
    n_tokens = 320
    # Of eight steps, 3 and 5 are reduced; both branches are in one batch.
    assert counts["calls_reduced"] == 2
    assert counts["tokens_left_out"] == 2 * 2 * n_tokens // 2
    other = "uniform" if score != "uniform" else "random"
    assert not np.array_equal(latents, latents_of(pipeline, workload, score=other)[0])


def test_each_kind_of_memory_loses_less(pipeline, workload):
    """Among kept tokens, over remembered ones, over extrapolated ones."""
    workload = workload.with_overrides({"steps": 16})
    baseline = denoise(pipeline, workload, PLAIN)
    settings = [
        {"context": "kept", "compensation": "previous"},
        {"context": "remembered", "compensation": "previous"},
        {"context": "extrapolated", "compensation": "linear"},
    ]
    errors = [
        float(np.square(latents_of(pipeline, workload, **each)[0] - baseline).mean())
        for each in settings
    ]
    assert errors[0] > 4 * errors[1] > 16 * errors[2] > 0


def test_a_video_is_the_same_alone_and_in_a_batch(pipeline, workload):
    """Each sample has its own set of tokens."""
    install_stack(pipeline, (StackItem("token_prune", CONFIG),))

    def make(prompts, seeds):
        with torch.no_grad():
            return pipeline(
                prompt=list(prompts),
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                output_type="latent",
                **get_family(pipeline).call_arguments(workload),
            ).frames.numpy()

    both = make((PROMPT, OTHER_PROMPT), (0, 1))
    alone = np.concatenate([make((PROMPT,), (0,)), make((OTHER_PROMPT,), (1,))])
    np.testing.assert_allclose(both, alone, atol=1e-3)


def test_steps_may_differ_in_precision():
    """What is remembered of steps in full precision serves those that are not."""
    pipeline, workload = build_tiny("ltx"), tiny_workload("ltx")
    autocast = StackItem("autocast", {"full_first": 2})
    with install_stack(pipeline, (StackItem("token_prune", CONFIG), autocast)) as applied:
        latents = denoise(pipeline, workload, PLAIN)
        applied.require_engaged()
    assert np.isfinite(latents).all()
    in_full = latents_of(pipeline, workload)[0]
    assert 0 < np.abs(latents - in_full).max() < 0.1


@pytest.mark.parametrize("keep", [0.0, 1.5])
def test_a_share_is_a_share(pipeline, keep):
    with pytest.raises(ConfigError, match="keep"):
        install_stack(pipeline, (StackItem("token_prune", {"keep": keep}),))


@pytest.mark.parametrize(
    ("family", "name", "config"),
    [
        ("ltx", "token_prune", CONFIG),
        pytest.param("wan", "token_prune", CONFIG, marks=pytest.mark.slow),
        ("wan", "stale_tokens", {"tau": 9.0, "patience": 1, "warmup": 2, "refresh": 3}),
        pytest.param("ltx", "tome", {"ratio": 0.3, "warmup": 2}, marks=pytest.mark.slow),
    ],
    ids=["ltx-token_prune", "wan-token_prune", "wan-stale_tokens", "ltx-tome"],
)
def test_compiled_blocks_do_the_same(family, name, config):
    """Two numbers of tokens are two graphs for all blocks; no call falls back to eager."""
    original, workload = build_tiny(family), tiny_workload(family)
    eager, compiled = clone_pipeline(original), clone_pipeline(original)
    install_stack(eager, (StackItem(name, config),))
    applied = install_stack(compiled, (StackItem(name, config), StackItem("regional_compile")))
    try:
        for _ in range(2):
            expected = denoise(eager, workload, PLAIN)
            assert np.abs(denoise(compiled, workload, PLAIN) - expected).max() < 1e-4
        applied.require_engaged()
        counts = applied.evidence()["regional_compile"].counts
        assert counts["eager_calls"] == 0
        assert counts["graphs_compiled"] == 2
    finally:
        applied.undo()
        torch._dynamo.reset()


@pytest.fixture(scope="module")
def context(pocket):
    return SpaceContext(describe_roles(pocket.pipeline), pocket.workload, DIAGNOSIS)


@pytest.mark.parametrize("name", OURS)
def test_first_settings_lie_in_the_space(context, name):
    technique = get_technique(name)
    space = technique.space(context)
    assert space.first
    for first in space.first:
        parse_config(technique, space.complete(first))
        assert first.keys() == space.knobs.keys()
        for key, knob in space.knobs.items():
            if isinstance(knob, Float | Int):
                assert knob.low <= first[key] <= knob.high
            else:
                assert first[key] in knob.options


@pytest.mark.parametrize("name", ["token_prune", "ras", "stale_tokens"])
def test_a_run_of_three_steps_leaves_nothing_to_search(context, name):
    short = replace(context, workload=context.workload.with_overrides({"steps": 3}))
    assert get_technique(name).space(short) == Space()


@pytest.mark.parametrize("name", OURS)
def test_no_more_is_saved_than_the_denoiser_takes(name):
    assert 0 < get_technique(name).saves(DIAGNOSIS) < DIAGNOSIS.denoise_s


def test_a_pipeline_whose_blocks_mix_tokens_is_refused():
    pipeline = build_tiny("sana_video")
    with pytest.raises(NotApplicableError, match="does not apply"):
        install_stack(pipeline, (StackItem("token_prune", CONFIG),))
