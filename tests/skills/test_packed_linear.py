"""packed_linear: the same sums over weights laid out once; what is no plain layer stays."""

from __future__ import annotations

import pytest
import torch
from contracts.models import get_model
from example_prompts import PROMPT
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn import functional as F

from sol.attach import replace_child
from sol.clock import Clock
from sol.errors import NoEffectError, NotApplicableError
from sol.measure.memory import weights_bytes
from sol.models.families import describe_roles
from sol.models.machine import machine_capabilities
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.kernel_fusion.linear.packed_linear import PACKED_LINEAR, PackedLinearConfig
from sol.skills.kernel_fusion.linear.packed_linear_op import PackedLinear
from sol.technique import StackItem

N_BLOCKS = 8
LAYERS_A_BLOCK = 10


class QuantizedLinear(nn.Module):
    """Stands for a layer and keeps it for the steps in full precision."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x):
        return self.linear(x)


class ReadingLinear(QuantizedLinear):
    keeps_original = True


class LinearOfItsOwn(nn.Linear):
    pass


def pack(pipeline):
    return PACKED_LINEAR.install(
        describe_roles(pipeline), PackedLinearConfig(), Schedule(), Clock()
    )


def packed_in(module):
    return [child for child in module.modules() if isinstance(child, PackedLinear)]


@pytest.mark.parametrize("gelu", [None, "none", "tanh"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "x",
    [
        torch.randn(48),
        torch.randn(1, 48),
        torch.randn(2, 33, 48),
        torch.randn(2, 3, 5, 48),
        torch.randn(48, 7, 2).transpose(0, 2),
        torch.randn(4, 6, 48)[:, ::2],
        torch.randn(2, 0, 48),
    ],
    ids=lambda x: "x".join(str(n) for n in x.shape),
)
def test_the_layer_is_the_one_that_it_was_made_of(x, bias, gelu):
    linear = nn.Linear(48, 17, bias=bias)
    packed = PackedLinear(linear, gelu)
    expected = linear(x)
    expected = F.gelu(expected, approximate=gelu) if gelu else expected
    torch.testing.assert_close(packed(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("inside", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("outside", [torch.float32, torch.bfloat16])
def test_it_computes_in_its_own_precision_and_answers_in_that_of_its_input(inside, outside):
    """Under autocast other operators hand over half precision."""
    packed = PackedLinear(nn.Linear(16, 8).to(inside))
    x = torch.randn(2, 3, 16).to(outside)
    output = packed(x)
    assert output.dtype == outside
    assert torch.equal(output, packed(x.to(inside)).to(outside))


@pytest.mark.parametrize("shape", [(16,), (3, 16), (2, 3, 16), (2, 0, 16)])
def test_the_operator_says_beforehand_what_it_will_return(shape):
    layer = PackedLinear(nn.Linear(16, 8))
    with FakeTensorMode():
        foretold = torch.ops.sol.packed_linear(
            torch.empty(shape), torch.empty(8, 16), torch.empty(8), ""
        )
    actual = layer(torch.randn(shape))
    assert (foretold.shape, foretold.dtype) == (actual.shape, actual.dtype)
    assert foretold.stride() == actual.stride()


def test_every_layer_of_the_blocks_is_packed_and_none_outside(pipeline):
    linears = [m for m in pipeline.transformer.modules() if isinstance(m, nn.Linear)]
    installed = pack(pipeline)
    assert len(packed_in(pipeline.transformer)) == N_BLOCKS * LAYERS_A_BLOCK
    assert installed.evidence().counts == {
        "layers_packed": N_BLOCKS * LAYERS_A_BLOCK,
        "activations_folded": N_BLOCKS,
        "denoiser_calls": 0,
    }
    (denoiser,) = describe_roles(pipeline).denoisers
    assert denoiser.block_linears
    assert not any(isinstance(layer, nn.Linear) for layer in denoiser.block_linears)
    assert len(denoiser.outer_linears) == len(linears) - N_BLOCKS * LAYERS_A_BLOCK


def test_the_same_modules_come_back(pipeline):
    before = dict(pipeline.transformer.named_modules())
    pack(pipeline).undo()
    after = dict(pipeline.transformer.named_modules())
    assert after.keys() == before.keys()
    assert all(after[path] is module for path, module in before.items())


def test_the_memory_of_packed_weights_is_counted(pipeline):
    before = weights_bytes([pipeline.transformer])
    pack(pipeline)
    assert weights_bytes([pipeline.transformer]) == before


@pytest.mark.parametrize(("make", "n_packed_inside"), [(QuantizedLinear, 1), (ReadingLinear, 0)])
def test_what_stands_for_a_layer_stays(pipeline, make, n_packed_inside):
    """And the GELU behind it; the layer that it keeps is packed unless it must not be."""
    block = pipeline.transformer.transformer_blocks[0]
    stand_ins = [make(block.ff.net[0].proj), make(block.attn1.to_q)]
    block.ff.net[0].proj, block.attn1.to_q = stand_ins
    installed = pack(pipeline)
    assert [block.ff.net[0].proj, block.attn1.to_q] == stand_ins
    assert all(len(packed_in(stand_in)) == n_packed_inside for stand_in in stand_ins)
    assert installed.evidence().counts["activations_folded"] == N_BLOCKS - 1


def test_a_layer_of_its_own_class_or_weight_stays(pipeline):
    block = pipeline.transformer.transformer_blocks[0]
    old = block.attn1.to_q
    block.attn1.to_q = LinearOfItsOwn(old.in_features, old.out_features)
    block.attn1.to_k.weight = nn.Parameter(old.weight.to(torch.bfloat16), requires_grad=False)
    block.attn1.to_v.register_forward_hook(lambda *_: None)
    pack(pipeline)
    assert not packed_in(block.attn1.to_q)
    assert not packed_in(block.attn1.to_k)
    assert not packed_in(block.attn1.to_v)
    assert len(packed_in(block.attn1)) == 1


def test_a_hook_on_the_activation_is_not_lost(pipeline):
    block = pipeline.transformer.transformer_blocks[0]
    calls = []
    block.ff.net[0].register_forward_hook(lambda *_: calls.append(1))
    pack(pipeline)
    block.ff(torch.randn(1, 2, 128))
    assert calls == [1]


def test_nothing_left_to_pack_is_an_error(pipeline):
    for block in pipeline.transformer.transformer_blocks:
        for parent in list(block.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    replace_child(parent, name, ReadingLinear(child))
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(NoEffectError, match="nothing was packed"):
        pack(pipeline)
    assert fingerprint_pipeline(pipeline) == before


def test_a_failure_half_way_is_undone(pipeline, monkeypatch):
    made = []

    def fails_at_the_twentieth(linear, gelu=None):
        made.append(linear)
        if len(made) == 20:
            raise MemoryError
        return PackedLinear(linear, gelu)

    monkeypatch.setattr(
        "sol.skills.kernel_fusion.linear.packed_linear.PackedLinear", fails_at_the_twentieth
    )
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(MemoryError):
        pack(pipeline)
    assert fingerprint_pipeline(pipeline) == before


@pytest.mark.parametrize(
    ("layers", "n_packed", "n_folded"),
    [("feed_forward=all", 64, 0), ("qkv=0-3", 68, 8), ("cross=all; out=all", 40, 8)],
)
def test_beside_int8_it_packs_the_rest(pipeline, workload, layers, n_packed, n_folded):
    stack = (StackItem("packed_linear"), StackItem("int8_dynamic", {"layers": layers}))
    before = fingerprint_pipeline(pipeline)
    with install_stack(pipeline, stack) as applied:
        render(pipeline, workload, PROMPT, 0)
        counts = applied.evidence()["packed_linear"].counts
    assert (counts["layers_packed"], counts["activations_folded"]) == (n_packed, n_folded)
    assert counts["denoiser_calls"] == workload.steps
    assert fingerprint_pipeline(pipeline) == before


@pytest.mark.parametrize(
    ("device", "dtype", "reason"),
    [
        ("mps", torch.float32, "the pipeline is on mps"),
        ("cpu", torch.bfloat16, "the pipeline is in torch.bfloat16"),
        ("cpu", torch.float32, None),
    ],
)
def test_it_needs_a_cpu_and_float32(device, dtype, reason):
    present, lacks = machine_capabilities(device, dtype)
    assert (Capability.PACKED_LINEAR_CPU in present) == (reason is None)
    assert reason is None or reason in lacks[Capability.PACKED_LINEAR_CPU]


def test_without_onednn_it_does_not_apply(pipeline, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(NotApplicableError, match="built without oneDNN"):
        install_stack(pipeline, (StackItem("packed_linear"),))


@pytest.mark.parametrize("model", ["pocket", "wan"])
def test_equal_blocks_share_one_graph_without_a_break(model):
    """Whatever compiles it: the backend only counts, and runs the graph as Dynamo made it."""
    pipeline = clone_pipeline(get_model(model).pipeline)
    workload = get_model(model).workload
    expected = render(pipeline, workload, PROMPT, 0).latents
    pack(pipeline)
    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph.forward

    for block in describe_roles(pipeline).denoisers[0].blocks:
        block.compile(backend=count, fullgraph=True)
    latents = render(pipeline, workload, PROMPT, 0).latents
    torch._dynamo.reset()
    assert len(graphs) == 1
    assert abs(latents - expected).max() < 1e-4


@pytest.mark.slow
def test_compiled_by_inductor_the_numbers_are_the_same(pipeline, workload, baseline):
    stack = (StackItem("packed_linear"), StackItem("regional_compile"))
    with install_stack(pipeline, stack):
        compiled = render(pipeline, workload, PROMPT, 0).latents
    torch._dynamo.reset()
    assert abs(compiled - baseline.latents).max() < 1e-4
