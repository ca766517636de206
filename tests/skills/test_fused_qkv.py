"""fused_qkv: one product for layers that have an input in common, behind their own places."""

from __future__ import annotations

import pytest
import torch
from contracts.models import get_model
from example_prompts import PROMPT
from torch import nn

from sol.clock import Clock
from sol.errors import NoEffectError
from sol.measure.memory import weights_bytes
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.kernel_fusion.linear.fused_qkv import FUSED_QKV, FusedQKVConfig
from sol.skills.kernel_fusion.linear.joint_projection import JointProjection, ProjectionShare
from sol.technique import StackItem

N_BLOCKS = 8
ALL = {"attentions": "all"}


def install(pipeline, attentions="self"):
    return FUSED_QKV.install(
        describe_roles(pipeline), FusedQKVConfig(attentions), Schedule(), Clock()
    )


def joints_in(module):
    return [child for child in module.modules() if isinstance(child, JointProjection)]


@pytest.fixture
def layers():
    return [nn.Linear(16, n) for n in (8, 8, 24)]


@pytest.fixture
def shares(layers):
    joint = JointProjection(layers)
    return [ProjectionShare(joint, index) for index in range(3)]


@pytest.mark.parametrize(
    "order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1,), (2,), (0, 0, 1, 2), (0, 1, 1, 2, 2)]
)
def test_each_place_computes_its_own_layer_in_any_order(layers, shares, order):
    x = torch.randn(2, 5, 16)
    for index in order:
        torch.testing.assert_close(shares[index](x), layers[index](x))


def test_another_input_in_between_gives_another_output(layers, shares):
    x = torch.randn(2, 5, 16)
    y = x.clone()
    shares[0](x)
    y[0, 0, 0] += 1
    torch.testing.assert_close(shares[1](y), layers[1](y))
    torch.testing.assert_close(shares[2](x), layers[2](x))


def test_nothing_is_held_after_the_last_share(shares):
    x = torch.randn(2, 5, 16)
    for share in shares:
        assert share.joint._input is (None if share.index == 0 else x)
        share(x)
    assert (share.joint._input, share.joint._shares) == (None, ())


def test_layers_without_a_bias(layers):
    layers = [nn.Linear(16, n, bias=False) for n in (8, 4)]
    joint = JointProjection(layers)
    x = torch.randn(3, 16)
    for index, layer in enumerate(layers):
        torch.testing.assert_close(joint.share_of(index, x), layer(x))


@pytest.mark.parametrize(
    ("model", "attentions", "n_groups"),
    [
        ("pocket", "self", N_BLOCKS),
        ("pocket", "all", 2 * N_BLOCKS),
        ("wan", "all", 8),
        ("sana_video", "self", 4),
    ],
)
def test_groups_are_found_and_come_back(model, attentions, n_groups):
    pipeline = clone_pipeline(get_model(model).pipeline)
    before = dict(pipeline.transformer.named_modules())
    n_bytes = weights_bytes([pipeline.transformer])
    installed = install(pipeline, attentions)
    assert len(joints_in(pipeline.transformer)) == n_groups
    assert installed.evidence().counts["groups_fused"] == n_groups
    assert weights_bytes([pipeline.transformer]) == n_bytes
    installed.undo()
    after = dict(pipeline.transformer.named_modules())
    assert after.keys() == before.keys()
    assert all(after[path] is module for path, module in before.items())


class Quantized(nn.Module):
    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, x):
        return self.linear(x)


@pytest.mark.parametrize(
    ("quantized", "sizes"),
    [
        (("to_q",), [128, 128]),
        (("to_k",), [128, 128]),
        (("to_q", "to_v"), None),
        ((), [128, 128, 128]),
    ],
)
def test_a_layer_that_something_stands_for_is_left_alone(pipeline, quantized, sizes):
    attention = pipeline.transformer.transformer_blocks[0].attn1
    stand_ins = {name: Quantized(getattr(attention, name)) for name in quantized}
    for name, stand_in in stand_ins.items():
        setattr(attention, name, stand_in)
    install(pipeline)
    assert all(getattr(attention, name) is s for name, s in stand_ins.items())
    assert [joint.sizes for joint in joints_in(attention)] == ([sizes] if sizes else [])


def test_layers_of_different_kinds_are_not_joined(pipeline):
    for block in pipeline.transformer.transformer_blocks:
        block.attn1.to_k.weight = nn.Parameter(block.attn1.to_k.weight.to(torch.bfloat16))
    with pytest.raises(NoEffectError, match="nothing was fused"):
        install(pipeline)


def test_where_the_processor_passes_the_layers_by_it_has_no_effect():
    """Wan's, after the user fused its projections with diffusers."""
    pipeline, workload = clone_pipeline(get_model("wan").pipeline), get_model("wan").workload
    pipeline.transformer.fuse_qkv_projections()
    applied = install_stack(pipeline, (StackItem("fused_qkv"),))
    render(pipeline, workload, PROMPT, 0)
    with pytest.raises(NoEffectError, match="'groups_used': 0"):
        applied.require_engaged()


@pytest.mark.parametrize(
    ("others", "counts"),
    [
        ((StackItem("packed_linear"),), {"layers_packed": 56, "activations_folded": 8}),
        ((StackItem("text_kv"), StackItem("shared_prefix")), {}),
        (
            (StackItem("int8_dynamic", {"layers": "feed_forward=all; qkv=0-3"}),),
            {"layers_quantized": 28},
        ),
        ((StackItem("pab", {"warmup": 2, "self_every": 2, "cross_every": 3}),), {}),
    ],
    ids=["packed_linear", "text_kv+shared_prefix", "int8_dynamic", "pab"],
)
def test_with_others_it_changes_nothing_but_rounding(pocket, workload, others, counts):
    alone, together = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    install_stack(alone, others)
    applied = install_stack(together, (*others, StackItem("fused_qkv", ALL)))
    expected = render(alone, workload, PROMPT, 0).latents
    assert abs(render(together, workload, PROMPT, 0).latents - expected).max() < 1e-3
    applied.require_engaged()
    counted = {k: v for e in applied.evidence().values() for k, v in e.counts.items()}
    assert counts.items() <= counted.items()


def compile_and_render(pipeline, workload):
    """How many graphs the blocks have, whatever compiles them, and the latents."""
    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph.forward

    for block in describe_roles(pipeline).denoisers[0].blocks:
        block.compile(backend=count, fullgraph=True)
    latents = render(pipeline, workload, PROMPT, 0).latents
    torch._dynamo.reset()
    return len(graphs), latents


@pytest.mark.parametrize("model", ["pocket", "wan", "sana_video"])
@pytest.mark.parametrize("others", [(), ("packed_linear",)], ids=["alone", "packed"])
def test_compiled_blocks_have_as_many_graphs_as_without_and_no_break(model, others):
    plain, workload = clone_pipeline(get_model(model).pipeline), get_model(model).workload
    fused = clone_pipeline(plain)
    applied = install_stack(
        fused, (StackItem("fused_qkv", ALL), *(StackItem(name) for name in others))
    )
    n_plain, expected = compile_and_render(plain, workload)
    n_fused, latents = compile_and_render(fused, workload)
    applied.require_engaged()
    assert n_fused == n_plain
    assert abs(latents - expected).max() < 1e-4
