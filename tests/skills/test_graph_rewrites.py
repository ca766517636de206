"""Kernels in the graphs of stock blocks: how many, what they change, and what is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.models.transformers.transformer_ltx import apply_rotary_emb
from example_prompts import PROMPT
from tiny_models import FAMILIES, build_tiny, tiny_workload
from torch.nn import functional

from sol.models.families import describe_roles
from sol.runtime.render import render
from sol.skills.kernel_fusion.rewriting.graph_rewrites import rewrite_with_kernels

# In one block: a norm before self-attention and one before the feed-forward, a gate after each.
EXPECTED = {
    "ltx": {
        "qk_norm_rotary": 1,
        "gelu_tanh": 1,
        "gate_residual_norm": 1,
        "modulated_norm": 1,
        "gate_residual": 2,
    },
    # The norm before cross-attention has weight and bias and follows the gate at once.
    "wan": {
        "qk_norm_rotary": 1,
        "gelu_tanh": 1,
        "gate_residual_norm": 2,
        "modulated_norm": 1,
        "gate_residual": 1,
    },
    # Linear attention reads its queries unrotated too, and the feed-forward is a convolution.
    "sana_video": {
        "qk_norm_rotary": 0,
        "gelu_tanh": 0,
        "gate_residual_norm": 1,
        "modulated_norm": 1,
        "gate_residual": 2,
    },
    # GELU is the exact one, and rotary pairs are the halves of a head.
    "cosmos": {
        "qk_norm_rotary": 0,
        "gelu_tanh": 0,
        "gate_residual_norm": 2,
        "modulated_norm": 1,
        "gate_residual": 1,
    },
}
# Blocks of the other families are written in forms that no pattern knows.
NOTHING = dict.fromkeys(EXPECTED["wan"], 0)


def latents(family, dtype, rewrite, finish=lambda graph, inputs: graph.forward, **sizes):
    """A tiny video's latents after two steps, and what `rewrite` returned for each graph."""
    torch._dynamo.reset()
    counts = []
    pipeline = build_tiny(family)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.to(dtype)

    def backend(graph, inputs):
        counts.append(rewrite(graph))
        return finish(graph, inputs)

    for block in describe_roles(pipeline).denoisers[0].blocks:
        block.compile(backend=backend)
    workload = tiny_workload(family).with_overrides({"steps": 2, **sizes})
    return render(pipeline, workload, PROMPT, 0).latents, counts


def left_alone(graph):
    return {}


@pytest.mark.parametrize("family", FAMILIES)
def test_stock_blocks_keep_their_result_up_to_rounding(family):
    plain, _ = latents(family, torch.float32, left_alone)
    rewritten, counts = latents(family, torch.float32, rewrite_with_kernels)
    assert counts
    assert all(count == EXPECTED.get(family, NOTHING) for count in counts)
    np.testing.assert_allclose(rewritten, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", EXPECTED)
def test_in_bfloat16_the_kernels_are_as_near_to_float32_as_the_block(family):
    exact, _ = latents(family, torch.float32, left_alone)
    plain, _ = latents(family, torch.bfloat16, left_alone)
    rewritten, counts = latents(family, torch.bfloat16, rewrite_with_kernels)
    assert all(count == EXPECTED[family] for count in counts)
    assert rms(rewritten - exact) < 1.1 * rms(plain - exact)


def rms(error):
    return float(np.sqrt(np.mean(error.astype(np.float64) ** 2)))


def test_inductor_compiles_what_is_left():
    from torch._inductor.compile_fx import compile_fx

    plain, _ = latents("wan", torch.float32, left_alone)
    compiled, _ = latents("wan", torch.float32, rewrite_with_kernels, compile_fx)
    np.testing.assert_allclose(compiled, plain, rtol=0, atol=1e-5)


def test_interpreted_kernels_give_the_same_video():
    pytest.importorskip("triton", reason="triton is not installed: its interpreter runs this.")
    script = """
from test_graph_rewrites import *
from sol.kernels.operator.launching import IS_INTERPRETED
assert IS_INTERPRETED
torch.set_num_threads(1)
sizes = {"steps": 1, "guidance_scale": 1.0, "num_frames": 1}
plain, _ = latents("wan", torch.float32, left_alone, **sizes)
rewritten, counts = latents("wan", torch.float32, rewrite_with_kernels, **sizes)
assert counts == [EXPECTED["wan"]]
np.testing.assert_allclose(rewritten, plain, rtol=0, atol=1e-5)
"""
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent)])
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300, env=environment)


X = torch.linspace(-2, 2, 2 * 5 * 12).view(2, 5, 12)
ROW = torch.linspace(0.5, 1, 2 * 12).view(2, 1, 12)
WEIGHT = torch.linspace(0.5, 2, 12)
COS, SIN = X.cos(), X.sin()


def rms_norm(x, weight=None, over=(12,)):
    return functional.rms_norm(x, over, weight, 1e-6)


def modulated(norm):
    return lambda x: norm(x) * (1 + ROW) + ROW


def rotated(x, weight):
    return apply_rotary_emb(rms_norm(x, weight), (COS, SIN))


def in_place(x):
    y = x * 1
    y.add_(1)
    return rms_norm(y) * (1 + ROW) + ROW


def augmented(x):
    y = x * 1
    y += 1
    return rms_norm(y) * (1 + ROW) + ROW


def into_a_copy(x):
    y = x.clone()
    y[:, 0] = 0
    return y + x * ROW


def read_twice(x):
    product = functional.linear(x, torch.eye(12), WEIGHT)
    return functional.gelu(product, approximate="tanh") + product


def test_queries_and_keys_that_share_their_tables_are_found():
    def block(x):
        q, k, k_weight = x.sin(), x.cos(), 1 / WEIGHT
        return rotated(q, WEIGHT) @ rotated(k, k_weight).mT

    counts, output = rewritten(block, X)
    assert counts["qk_norm_rotary"] == 1
    torch.testing.assert_close(output, block(X))


@pytest.mark.parametrize("is_dynamic", [False, True])
def test_sizes_may_be_symbols(is_dynamic):
    block = modulated(rms_norm)
    counts, output = rewritten(lambda x: x + block(x) * ROW, X, is_dynamic)
    assert (counts["modulated_norm"], counts["gate_residual"]) == (1, 1)
    torch.testing.assert_close(output, X + block(X) * ROW)


def test_a_modulated_norm_with_weight_in_either_order_is_found():
    def block(x):
        return ROW + (ROW + 1) * functional.layer_norm(x, (12,), WEIGHT, None, 1e-6)

    counts, output = rewritten(block, X)
    assert counts["modulated_norm"] == 1
    torch.testing.assert_close(output, block(X))


LEFT_ALONE = {
    "nothing to find": lambda x: x.relu() @ x.transpose(1, 2),
    "a norm without modulation": rms_norm,
    "a norm over two axes": modulated(lambda x: rms_norm(x, None, (5, 12))),
    "a norm of rows without batch": lambda x: rms_norm(x[0]) * (1 + ROW[0]) + ROW[0],
    "a modulation that widens the batch": lambda x: rms_norm(x[:1]) * (1 + ROW) + ROW,
    "a scale that is no scale": lambda x: rms_norm(x) * (2 + ROW) + ROW,
    "a result that stays in float32": lambda x: rms_norm(x.bfloat16()).float() * (1 + ROW) + ROW,
    "a cast to integers": lambda x: rms_norm(x).to(torch.int32) * (1 + ROW) + ROW,
    "a constant gate": lambda x: x + x.sin() * 0.5,
    "float64": lambda x: x.double() + x.double().sin() * ROW.double(),
    "gelu without tanh": lambda x: functional.gelu(functional.linear(x, torch.eye(12), WEIGHT)),
    "gelu of what is read elsewhere": read_twice,
    "gelu without a bias": lambda x: functional.gelu(
        functional.linear(x, torch.eye(12)), approximate="tanh"
    ),
    "a write in place": in_place,
    "a write into a copy": into_a_copy,
    "an augmented assignment": augmented,
    "queries without keys": lambda x: rotated(x, WEIGHT),
    "queries and keys without weights": lambda x: rotated(x, None) @ rotated(x.sin(), None).mT,
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_is_no_kernel_is_left_alone(case):
    function = LEFT_ALONE[case]
    counts, output = rewritten(function, X)
    assert not any(counts.values())
    assert torch.equal(output, function(X))


def rewritten(function, x, is_dynamic=False):
    """What was replaced in the graph of `function`, and what the graph gives for `x`."""
    torch._dynamo.reset()
    counts = []

    def backend(graph, inputs):
        counts.append(rewrite_with_kernels(graph))
        return graph.forward

    output = torch.compile(function, backend=backend, dynamic=is_dynamic)(x)
    return counts[0], output
