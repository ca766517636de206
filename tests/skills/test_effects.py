"""What each technique really does, counted from outside: by hooks of the test's own."""

from __future__ import annotations

import pytest
import torch
from example_prompts import PROMPT
from torch import nn

from sol.errors import ConfigError
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.quantization.int8_dynamic import Int8DynamicLinear
from sol.technique import StackItem


def count_calls(module: nn.Module) -> list[int]:
    calls = [0]

    def count(*_):
        calls[0] += 1

    module.register_forward_hook(count)
    return calls


def test_step_mask_leaves_out_exactly_its_steps(pipeline, workload):
    calls = count_calls(pipeline.transformer.transformer_blocks[0])
    install_stack(pipeline, (StackItem("step_mask", {"skip": "2,4-6"}),))
    render(pipeline, workload, PROMPT, 0)
    assert calls == [8 - 4]


def test_schedule_narrows_step_mask(pipeline, workload):
    calls = count_calls(pipeline.transformer.transformer_blocks[0])
    item = StackItem("step_mask", {"skip": "2,4-6"}, Schedule(steps="first:5"))
    install_stack(pipeline, (item,))
    render(pipeline, workload, PROMPT, 0)
    assert calls == [8 - 2]


def test_step_mask_cannot_skip_the_first_step(pipeline, workload):
    install_stack(pipeline, (StackItem("step_mask", {"skip": "0-2"}),))
    with pytest.raises(ConfigError, match="Step 0 cannot be skipped"):
        render(pipeline, workload, PROMPT, 0)


def test_step_mask_refuses_steps_that_do_not_exist(pipeline, workload):
    install_stack(pipeline, (StackItem("step_mask", {"skip": "5-12"}),))
    with pytest.raises(ConfigError, match="index 12, but there are only 8"):
        render(pipeline, workload, PROMPT, 0)


@pytest.mark.parametrize(("max_skips", "expected"), [(1, 5), (2, 4), (6, 3)])
def test_easycache_skips_in_runs_of_at_most_max_skips(pipeline, workload, max_skips, expected):
    """An unlimited threshold skips all it may: steps 2-6 of 8, the ends being protected."""
    calls = count_calls(pipeline.transformer.transformer_blocks[0])
    config = {"threshold": 10.0, "warmup": 2, "tail": 1, "max_skips": max_skips}
    install_stack(pipeline, (StackItem("easycache", config),))
    render(pipeline, workload, PROMPT, 0)
    assert calls == [expected]


def test_easycache_skips_more_at_a_higher_threshold(pipeline, workload, pocket):
    skipped = []
    for threshold in (0.02, 0.2, 2.0):
        applied = install_stack(
            pipeline, (StackItem("easycache", {"threshold": threshold, "warmup": 2}),)
        )
        render(pipeline, workload, PROMPT, 0)
        skipped.append(applied.evidence()["easycache"].counts["calls_skipped"])
        applied.undo()
    assert skipped == sorted(skipped)
    assert skipped[0] < skipped[-1]


def test_text_kv_computes_each_projection_once_a_video(pipeline, workload):
    calls = count_calls(pipeline.transformer.transformer_blocks[0].attn2.to_k)
    install_stack(pipeline, (StackItem("text_kv"),))
    for seed in (0, 1):
        render(pipeline, workload, PROMPT, seed)
    assert calls == [2]


def test_int8_dynamic_replaces_what_it_says(pipeline):
    install_stack(
        pipeline,
        (StackItem("int8_dynamic", {"layers": "feed_forward=all"}, Schedule(layers="0-1")),),
    )
    blocks = pipeline.transformer.transformer_blocks
    replaced = [
        sum(isinstance(module, Int8DynamicLinear) for module in block.modules())
        for block in blocks
    ]
    assert replaced == [2, 2] + [0] * (len(blocks) - 2)
    assert all(isinstance(block.attn1.to_q, nn.Linear) for block in blocks)


@pytest.mark.parametrize("shape", [(1, 16), (3, 5, 16), (2, 1, 7, 16)])
@pytest.mark.parametrize("bias", [True, False])
def test_int8_linear_agrees_with_float(shape, bias):
    torch.manual_seed(0)
    linear = nn.Linear(16, 24, bias=bias)
    x = torch.randn(shape)
    expected, actual = linear(x), Int8DynamicLinear(linear)(x)
    assert actual.shape == expected.shape
    # Two quantisations at half a step of 1/127 (weights) and 1/255 of the range (activations).
    assert (actual - expected).norm() / expected.norm() < 0.02


def test_int8_linear_keeps_a_row_of_zeros():
    linear = nn.Linear(8, 3)
    nn.init.zeros_(linear.weight)
    x = torch.randn(4, 8)
    assert torch.allclose(Int8DynamicLinear(linear)(x), linear.bias.expand(4, 3), atol=1e-6)


def test_regional_compile_runs_a_graph_for_every_block(pipeline, workload):
    applied = install_stack(pipeline, (StackItem("regional_compile"),))
    render(pipeline, workload, PROMPT, 0)
    counts = applied.evidence()["regional_compile"].counts
    n_blocks = len(pipeline.transformer.transformer_blocks)
    assert counts["graph_runs"] == counts["block_calls"] == 8 * n_blocks
    applied.undo()
    torch._dynamo.reset()


def test_regional_compile_that_falls_back_to_eager_is_not_engaged(pipeline, workload):
    """Dynamo gives up without an error after too many recompilations; the evidence shows it."""
    applied = install_stack(pipeline, (StackItem("regional_compile"),))
    with torch._dynamo.config.patch(disable=True):
        render(pipeline, workload, PROMPT, 0)
    assert not applied.evidence()["regional_compile"].engaged
    applied.undo()
    torch._dynamo.reset()
