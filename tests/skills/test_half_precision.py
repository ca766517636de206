"""Half precision inside of a float32 pipeline: linear layers alone, or as autocast has it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from example_prompts import PROMPT
from torch import nn
from torch.nn import functional as F

from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import NotApplicableError
from sol.measure.memory import weights_bytes
from sol.models.families import describe_roles
from sol.models.loading import load_model
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.quantization import bf16_linear
from sol.skills.quantization.autocast import AUTOCAST, AutocastConfig
from sol.skills.quantization.bf16_linear import BF16_LINEAR
from sol.technique import SpaceContext, StackItem, parse_config

SHAPES = ((2, 128, 768), (64, 128, 128), (101, 130, 70))
DIAGNOSIS = Diagnosis(10.0, 8.0, 4.0, 1.0, 0.5)
BOTH = ("bf16_linear", "autocast")


@pytest.fixture(autouse=True)
def _processor_with_bfloat16(monkeypatch):
    """Others emulate it: as exact, and slow."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    yield
    torch._dynamo.reset()


def example(rows, n_in, n_out, bias=True):
    torch.manual_seed(rows)
    return nn.Linear(n_in, n_out, bias=bias).requires_grad_(False), torch.randn(2, rows, n_in)


def relative_error(actual, expected):
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


def record_calls(pipeline):
    """Whether autocast is on, for each call that follows."""
    seen = []
    block = pipeline.transformer.transformer_blocks[0]
    block.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    return seen


MAKERS = {"plain": bf16_linear._quantize, "packed": bf16_linear._pack}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_a_linear_layer_in_bfloat16(make, shape, bias):
    linear, x = example(*shape, bias)
    weight = linear.weight.clone()
    layer = make(linear)
    output = layer(x)
    assert output.dtype == x.dtype
    assert 0.0 < relative_error(output.numpy(), linear(x).numpy()) < 0.004
    assert torch.equal(linear.weight, weight)
    assert weights_bytes([layer]) * 2 == weights_bytes([linear])


def test_with_the_gelu_after_it():
    linear, x = example(64, 128, 256)
    expected = F.gelu(linear(x), approximate="tanh")
    output = bf16_linear._pack_with_gelu(linear)(x)
    assert 0.0 < relative_error(output.numpy(), expected.numpy()) < 0.004


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_compiled_linear_layer_agrees(make):
    linear, x = example(64, 128, 128)
    layer = make(linear)
    compiled = torch.compile(layer, fullgraph=True)(x)
    assert relative_error(compiled.numpy(), layer(x).numpy()) < 1e-3


@pytest.mark.parametrize("name", BOTH)
def test_the_video_is_close_to_that_of_float32(name, pipeline, workload, baseline):
    with install_stack(pipeline, (StackItem(name),)):
        rendering = render(pipeline, workload, PROMPT, 0)
    assert rendering.latents.dtype == baseline.latents.dtype
    assert 0.0 < relative_error(rendering.latents, baseline.latents) < 0.05


@pytest.mark.parametrize(
    ("config", "schedule", "cast"),
    [
        ({}, Schedule(), range(8)),
        ({"full_first": 2, "full_last": 1}, Schedule(), range(2, 7)),
        ({"full_first": 1}, Schedule(steps="0-3,6"), (1, 2, 3, 6)),
    ],
    ids=["always", "ends_in_full", "schedule"],
)
def test_autocast_covers_the_steps_that_were_asked_for(pipeline, workload, config, schedule, cast):
    seen = record_calls(pipeline)
    with install_stack(pipeline, (StackItem("autocast", config, schedule),)) as applied:
        render(pipeline, workload, PROMPT, 0)
        counts = applied.evidence()["autocast"].counts
    assert [step for step, is_cast in enumerate(seen) if is_cast] == list(cast)
    assert counts == {"cast_calls": len(cast), "full_calls": 8 - len(cast)}


def test_the_denoiser_returns_float32_under_autocast(pipeline, workload):
    dtypes = set()
    with install_stack(pipeline, (StackItem("autocast"),)):
        pipeline.transformer.register_forward_hook(lambda *call: dtypes.add(call[-1][0].dtype))
        render(pipeline, workload, PROMPT, 0)
    assert dtypes == {torch.float32}


@pytest.mark.parametrize("name", BOTH)
def test_inside_of_compiled_blocks(name, pipeline, workload, baseline):
    """Autocast changes what the blocks are given: the first may have a graph of its own."""
    stack = (StackItem(name), StackItem("regional_compile"))
    with install_stack(pipeline, stack) as applied:
        rendering = render(pipeline, workload, PROMPT, 0)
        applied.require_engaged()
        counts = applied.evidence()["regional_compile"].counts
    assert counts["graphs_compiled"] <= 2
    assert 0.0 < relative_error(rendering.latents, baseline.latents) < 0.05
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, baseline.latents)


def test_a_call_outside_of_a_video_is_cast(pipeline, workload):
    calls = []
    hook = pipeline.transformer.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append((args, kwargs)), with_kwargs=True
    )
    render(pipeline, workload.with_overrides({"steps": 1}), PROMPT, 0)
    hook.remove()
    (args, kwargs), *_ = calls
    seen = record_calls(pipeline)
    with install_stack(pipeline, (StackItem("autocast", {"full_first": 1}),)), torch.no_grad():
        pipeline.transformer(*args, **kwargs)
    assert seen == [True]


def test_float16_is_for_gpus(pipeline):
    with pytest.raises(NotApplicableError, match="float16 does not apply here: it needs a CUDA"):
        install_stack(pipeline, (StackItem("autocast", {"dtype": "float16"}),))


def test_a_gpu_without_bfloat16_is_offered_float16(pipeline):
    roles = describe_roles(pipeline)
    turing = replace(
        roles,
        capabilities=roles.capabilities - {Capability.BFLOAT16} | {Capability.CUDA},
        lacks={Capability.BFLOAT16: "too old"},
    )
    context = SpaceContext(turing, None, DIAGNOSIS)
    assert AUTOCAST.space(context).first == ({"dtype": "float16"},)
    with pytest.raises(NotApplicableError, match="too old"):
        AUTOCAST.install(turing, AutocastConfig(), Schedule(), Clock())


@pytest.mark.parametrize("technique", [BF16_LINEAR, AUTOCAST], ids=lambda t: t.name)
def test_first_settings_are_legal(technique, pocket):
    roles = describe_roles(pocket.pipeline)
    space = technique.space(SpaceContext(roles, pocket.workload, DIAGNOSIS))
    assert space.first
    for setting in space.first:
        assert set(setting) == set(space.knobs)
        parse_config(technique, space.complete(setting))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_autocast_on_a_gpu(workload, baseline, dtype):
    pipeline = load_model("pocket", device="cuda").pipeline
    with install_stack(pipeline, (StackItem("autocast", {"dtype": dtype}),)):
        rendering = render(pipeline, workload, PROMPT, 0)
    assert 0.0 < relative_error(rendering.latents, baseline.latents) < 0.1
