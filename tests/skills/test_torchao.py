"""torchao's formats as drop-ins: their errors, what they leave alone, what they cannot take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from example_prompts import PROMPT
from torch import nn

from sol.errors import NoEffectError, NotApplicableError
from sol.measure.memory import weights_bytes
from sol.models.families import describe_roles
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.skills.quantization.torchao import fp8, int8_torchao, nvfp4, weight_only
from sol.skills.quantization.torchao.torchao_linear import LayerLimits, TorchaoLinear
from sol.skills.quantization.torchao.weight_only import WeightOnlyConfig
from sol.skills.registry import get_technique
from sol.technique import StackItem, find_obstacle

pytest.importorskip("torchao")

# torchao's own, on compiling any of its tensors.
pytestmark = pytest.mark.filterwarnings("ignore:.*_stable_hash_for_caching")

# Format, and the largest error of an output relative to its norm, for normal weights and inputs.
ON_A_CPU = {
    "int8": (int8_torchao.make_quantize, 0.015),
    "int8_weights": (lambda: weight_only.make_quantize(WeightOnlyConfig()), 0.008),
    "fp8_weights": (lambda: weight_only.make_quantize(WeightOnlyConfig(format="fp8")), 0.04),
}
SHAPES = ((2, 128, 768), (64, 128, 128), (101, 136, 72))
on_a_cpu = pytest.mark.parametrize(("make", "bound"), ON_A_CPU.values(), ids=ON_A_CPU)


def example(rows, n_in, n_out, bias=True):
    torch.manual_seed(rows)
    return nn.Linear(n_in, n_out, bias=bias).requires_grad_(False), torch.randn(2, rows, n_in)


def relative_error(actual, expected):
    return float((actual.float() - expected.float()).norm() / expected.float().norm())


@pytest.fixture
def _fresh_dynamo():
    yield
    torch._dynamo.reset()


@on_a_cpu
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_the_error_is_that_of_the_format(make, bound, shape, bias):
    linear, x = example(*shape, bias)
    error = relative_error(make()(linear)(x), linear(x))
    assert 0.0 < error < bound


@on_a_cpu
def test_the_layer_stays_as_it_is(make, bound):
    linear, x = example(64, 128, 128)
    weight, bias = linear.weight, linear.bias
    before = (weight.data_ptr(), weight._version, weight.clone())
    make()(linear)(x)
    assert linear.weight is weight
    assert linear.bias is bias
    assert (weight.data_ptr(), weight._version) == before[:2]
    assert torch.equal(weight, before[2])


@on_a_cpu
def test_weights_of_one_byte_are_counted_as_such(make, bound):
    linear, _ = example(64, 128, 256)
    full, quantized = weights_bytes([linear]), weights_bytes([make()(linear)])
    a_weight, a_row = 128 * 256, 256
    assert full == 4 * a_weight + 4 * a_row
    # A scale of 4 bytes, a zero point of at most 1 and the bias of 4 for each row.
    assert a_weight + 8 * a_row <= quantized <= a_weight + 9 * a_row


@on_a_cpu
def test_inputs_that_are_not_contiguous(make, bound):
    linear, x = example(64, 128, 128)
    strided = x.transpose(0, 1)
    layer = make()(linear)
    assert torch.equal(layer(strided), layer(strided.contiguous()))


@on_a_cpu
@pytest.mark.usefixtures("_fresh_dynamo")
def test_compiled_code_agrees(make, bound):
    linear, x = example(64, 128, 128)
    layer = make()(linear)
    compiled = torch.compile(layer, fullgraph=True)
    assert relative_error(compiled(x), layer(x)) < 1e-3


def test_inductor_keeps_its_settings():
    import torch._inductor.config as inductor

    before = inductor.save_config()
    linear, x = example(64, 128, 128)
    for make, _ in ON_A_CPU.values():
        make()(linear)(x)
    assert inductor.save_config() == before


CPU_STAND_INS = {"row": 0.05, "tensor": 0.06}


@pytest.mark.parametrize(("granularity", "bound"), CPU_STAND_INS.items(), ids=CPU_STAND_INS)
def test_fp8_where_the_processor_stands_in_for_a_gpu(monkeypatch, granularity, bound):
    """The same products by PyTorch's reference; only torchao's check of the device is left out."""
    monkeypatch.setattr("torchao.quantization.quant_api._check_hardware_support", lambda _: None)
    linear, x = example(64, 128, 256)
    linear, x = linear.bfloat16(), x.bfloat16()
    layer = fp8.make_quantize(granularity)(linear)
    assert isinstance(layer, TorchaoLinear)
    assert 0.0 < relative_error(layer(x), linear(x)) < bound


def test_fp8_in_blocks_has_a_scale_for_each_block(monkeypatch):
    monkeypatch.setattr("torchao.quantization.quant_api._check_hardware_support", lambda _: None)
    linear, _ = example(64, 256, 384)
    layer = fp8.make_quantize("block")(linear.bfloat16())
    assert layer.weight.scale.shape == (384 // 128, 256 // 128)
    assert relative_error(layer.weight.dequantize(), linear.weight) < 0.04


def test_nvfp4_weights_come_back_within_four_bits(monkeypatch):
    monkeypatch.setattr(
        "torchao.prototype.mx_formats.inference_workflow.is_sm_at_least_100", lambda: True
    )
    linear, _ = example(64, 256, 128)
    layer = nvfp4.make_quantize()(linear.bfloat16())
    assert relative_error(layer.weight.dequantize(torch.float32), linear.weight) < 0.12
    # Half a byte a weight, a byte for 16 of them, 4 for all.
    assert layer.packed_bytes == 256 * 128 // 2 + 256 * 128 // 16 + 4


def fp8_find(granularity):
    return lambda linear: fp8.find_misfit(linear, granularity)


def in_bfloat16(n_in, n_out):
    return nn.Linear(n_in, n_out, dtype=torch.bfloat16)


INT8, INT4, NVFP4 = (
    limits.find_misfit
    for limits in (
        int8_torchao.LIMITS,
        weight_only.find_limits(WeightOnlyConfig(format="int4", group_size=64)),
        nvfp4.LIMITS,
    )
)
MISFITS = {
    "odd_input": (INT8, nn.Linear(130, 128), "a layer is 130 -> 128"),
    "odd_output": (INT8, nn.Linear(128, 70), "multiples of 8"),
    "fp8_sixteen": (fp8_find("row"), in_bfloat16(128, 24), "fp8 takes inputs in multiples of 16"),
    "fp8_dtype": (fp8_find("row"), nn.Linear(128, 128), "a layer is in torch.float32"),
    "fp8_blocks": (fp8_find("block"), in_bfloat16(128, 192), "multiples of 128"),
    "fp8_one_block": (fp8_find("tensor"), in_bfloat16(128, 128), "for a block"),
    "nvfp4_narrow": (NVFP4, in_bfloat16(128, 64), "at least 80"),
    "int4_groups": (INT4, in_bfloat16(96, 64), "int4 in groups of 64 takes inputs in multiples"),
}


@pytest.mark.parametrize(("find_misfit", "linear", "said"), MISFITS.values(), ids=MISFITS)
def test_layers_that_a_format_cannot_take(find_misfit, linear, said):
    assert said in find_misfit(linear)


def test_layers_that_fit():
    assert fp8.find_misfit(in_bfloat16(256, 128), "block") is None
    assert fp8.find_misfit(in_bfloat16(128, 128), "row") is None
    assert LayerLimits("any", 1, 1).find_misfit(nn.Linear(7, 3)) is None


def test_a_layer_that_does_not_fit_is_left_out_and_counted(pipeline, workload):
    narrow = nn.Linear(128, 132)
    pipeline.transformer.transformer_blocks[0].ff.net[0].proj = narrow
    pipeline.transformer.transformer_blocks[0].ff.net[2] = nn.Linear(132, 128)
    n_layers = 2 * len(pipeline.transformer.transformer_blocks)
    stack = (StackItem("int8_torchao", {"layers": "feed_forward=all"}),)
    with install_stack(pipeline, stack) as applied:
        assert pipeline.transformer.transformer_blocks[0].ff.net[0].proj is narrow
        render(pipeline, workload, PROMPT, 0)
        counts = applied.evidence()["int8_torchao"].counts
    assert counts["layers_left_out"] == 2
    assert counts["layers_quantized"] == n_layers - 2


def test_no_layer_that_fits_is_an_error(pipeline):
    block = pipeline.transformer.transformer_blocks[0]
    block.ff.net[0].proj, block.ff.net[2] = nn.Linear(128, 132), nn.Linear(132, 128)
    stack = (StackItem("int8_torchao", {"layers": "feed_forward=0"}),)
    with pytest.raises(NoEffectError, match="multiples of 8"):
        install_stack(pipeline, stack)


@pytest.mark.parametrize("weights", ["fp8", "int4"])
def test_formats_that_a_cpu_does_not_have_are_refused(pipeline, weights):
    stack = (StackItem("weight_only", {"format": weights}),)
    with pytest.raises(NotApplicableError, match="needs a CUDA device"):
        install_stack(pipeline, stack)


@pytest.mark.parametrize("name", ["int8_torchao", "fp8", "weight_only", "nvfp4"])
def test_without_torchao_it_is_said_how_to_get_it(monkeypatch, pipeline, name):
    monkeypatch.setattr("sol.models.precision.find_spec", lambda _: None)
    obstacle = find_obstacle(get_technique(name), describe_roles(pipeline))
    assert obstacle == "torchao is not installed: pip install 'sol-tuner[quantization]'"


def test_memory_is_what_weights_in_one_byte_save(pipeline):
    before = weights_bytes([pipeline.transformer])
    everywhere = "feed_forward=all; qkv=all; out=all; cross=all"
    layers = describe_roles(pipeline).denoisers[0].block_linears
    n_weights = sum(layer.weight.numel() for layer in layers)
    with install_stack(pipeline, (StackItem("weight_only", {"layers": everywhere}),)):
        saved = before - weights_bytes([pipeline.transformer])
    assert 0.95 * 3 * n_weights < saved < 3 * n_weights
    assert weights_bytes([pipeline.transformer]) == before


@pytest.mark.parametrize("config", [{}, {"full_first": 1}], ids=["always", "switched"])
@pytest.mark.usefixtures("_fresh_dynamo")
def test_compiled_blocks_share_their_code_and_come_back(pipeline, workload, baseline, config):
    """One graph for all blocks and steps; another for blocks in full precision."""
    stack = (StackItem("int8_torchao", config), StackItem("regional_compile"))
    before = fingerprint_pipeline(pipeline)
    with install_stack(pipeline, stack) as applied:
        render(pipeline, workload, PROMPT, 0)
        applied.require_engaged()
        counts = applied.evidence()["regional_compile"].counts
    assert counts["graphs_compiled"] == 1 + len(config)
    assert fingerprint_pipeline(pipeline) == before
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, baseline.latents)


CUDA_FORMATS = {
    "int8": (int8_torchao.make_quantize, Capability.INT8_TORCHAO, 0.02),
    "fp8_row": (lambda: fp8.make_quantize("row"), Capability.FP8_TORCHAO, 0.05),
    "fp8_tensor": (lambda: fp8.make_quantize("tensor"), Capability.FP8_TORCHAO, 0.06),
    "fp8_block": (lambda: fp8.make_quantize("block"), Capability.FP8_TORCHAO, 0.05),
    "int8_weights": (
        lambda: weight_only.make_quantize(WeightOnlyConfig()),
        Capability.TORCHAO,
        0.01,
    ),
    "fp8_weights": (
        lambda: weight_only.make_quantize(WeightOnlyConfig(format="fp8")),
        Capability.FP8_TORCHAO,
        0.04,
    ),
    "int4_weights": (
        lambda: weight_only.make_quantize(WeightOnlyConfig(format="int4", group_size=64)),
        Capability.INT4_TORCHAO,
        0.12,
    ),
    "nvfp4": (nvfp4.make_quantize, Capability.NVFP4_TORCHAO, 0.2),
}


@pytest.mark.gpu
@pytest.mark.usefixtures("_fresh_dynamo")
@pytest.mark.parametrize(("make", "needed", "bound"), CUDA_FORMATS.values(), ids=CUDA_FORMATS)
def test_on_a_gpu_the_error_is_that_of_the_format_and_compiled_code_agrees(make, needed, bound):
    from sol.models.machine import machine_capabilities

    present, lacks = machine_capabilities("cuda", torch.bfloat16)
    if needed not in present:
        pytest.skip(lacks[needed])
    linear, x = example(256, 512, 1024)
    linear, x = linear.cuda().bfloat16(), x.cuda().bfloat16()
    layer = make()(linear)
    expected = linear(x)
    assert 0.0 < relative_error(layer(x), expected) < bound
    assert relative_error(torch.compile(layer, fullgraph=True)(x), expected) < bound
