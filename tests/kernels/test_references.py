"""The references against what stock models compute, in float64."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.normalization import RMSNorm
from diffusers.models.transformers.transformer_ltx import apply_rotary_emb
from torch import nn
from torch.nn import functional

from sol.kernels.gate_residual import gate_residual
from sol.kernels.gate_residual_norm import gate_residual_norm
from sol.kernels.gelu_tanh import gelu_tanh
from sol.kernels.modulated_norm import modulated_norm
from sol.kernels.qk_norm_rotary import qk_norm_rotary

B, N, W, HEAD = 2, 5, 24, 8


@pytest.fixture
def draw():
    random = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=random)


def assert_close(actual, expected):
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("with_weight", [False, True])
@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_modulated_norm_is_norm_times_one_plus_scale_plus_shift(draw, norm, with_weight):
    x, scale, shift, weight = draw(B, N, W), draw(B, 1, W), draw(B, N, W), draw(W)
    weight = weight if with_weight else None
    actual = modulated_norm(x, scale, shift, weight, norm, 1e-6)
    stock = nn.RMSNorm if norm == "rms" else nn.LayerNorm
    layer = stock(W, eps=1e-6, elementwise_affine=False).double()
    factor = 1 if weight is None else weight.double()
    assert_close(actual, layer(x.double()) * factor * (1 + scale.double()) + shift.double())


def test_rms_is_the_norm_that_diffusers_writes_out(draw):
    x, zero = draw(B, N, W), torch.zeros(1, 1, W)
    stock = RMSNorm(W, eps=1e-6, elementwise_affine=False)
    torch.testing.assert_close(modulated_norm(x, zero, zero, None, "rms", 1e-6), stock(x))


def test_gate_residual_is_residual_plus_output_times_gate(draw):
    residual, output, gate = draw(B, N, W), draw(B, N, W), draw(B, 1, W)
    assert_close(
        gate_residual(residual, output, gate),
        residual.double() + output.double() * gate.double(),
    )


def test_the_chain_is_the_two_one_after_the_other(draw):
    residual, output, gate, scale, shift = (
        draw(*shape).bfloat16() for shape in [(B, N, W)] * 2 + [(B, 1, W)] * 3
    )
    stream, normed = gate_residual_norm(residual, output, gate, scale, shift)
    assert torch.equal(stream, gate_residual(residual, output, gate))
    assert torch.equal(normed, modulated_norm(stream, scale, shift))


def test_the_chain_makes_a_norm_with_weight_and_bias_too(draw):
    residual, output, weight, bias = draw(B, N, W), draw(B, N, W), draw(W), draw(W)
    _, normed = gate_residual_norm(residual, output, None, None, bias, weight, "layer", 1e-5)
    stream = residual.double() + output.double()
    layer = functional.layer_norm(stream, (W,), weight.double(), bias.double(), 1e-5)
    assert_close(normed, layer)


def test_rotary_by_columns_is_that_of_ltx(draw):
    q, k, weight, angles = draw(B, N, W), draw(B, N, W), draw(W), draw(B, N, W)
    q_out, k_out = qk_norm_rotary(q, k, weight, weight, angles.cos(), angles.sin(), 1e-5)
    for x, out in ((q, q_out), (k, k_out)):
        normed = functional.rms_norm(x, (W,), weight, 1e-5)
        assert_close(out, apply_rotary_emb(normed, (angles.cos(), angles.sin())).double())


def test_rotary_by_pairs_turns_each_pair_by_its_angle(draw):
    q, k, weight, angles = draw(B, N, W), draw(B, N, W), draw(W), draw(1, N, 1, HEAD // 2)
    cos, sin = (table.repeat_interleave(2, -1) for table in (angles.cos(), angles.sin()))
    q_out, k_out = qk_norm_rotary(q, k, weight, weight, cos, sin, 1e-6)
    turn = torch.polar(torch.ones_like(angles), angles)
    for x, out in ((q, q_out), (k, k_out)):
        normed = functional.rms_norm(x, (W,), weight, 1e-6).view(B, N, -1, HEAD // 2, 2)
        turned = torch.view_as_real(torch.view_as_complex(normed) * turn)
        assert_close(out, turned.flatten(3).double())


def test_gelu_tanh_is_the_tanh_form_of_gelu(draw):
    x, bias = 4 * draw(B, N, W), draw(W)
    expected = functional.gelu(x.double() + bias.double(), approximate="tanh")
    assert_close(gelu_tanh(x, bias), expected)
