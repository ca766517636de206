"""Which calls are quantised, and what smoothing and the low-rank correction do."""

import numpy as np
import pytest
import torch
from example_prompts import PROMPT
from tiny_models import build_tiny, tiny_workload
from torch import nn

from sol.errors import ConfigError, NoEffectError
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.quantization.corrected_linear import quantize_with_care
from sol.skills.quantization.install import Quantization, install_quantized
from sol.skills.quantization.int8_dynamic import Int8DynamicConfig, Int8DynamicLinear
from sol.skills.quantization.int8_rows import Int8RowsGELU, Int8RowsLinear
from sol.skills.quantization.low_rank import find_low_rank
from sol.skills.quantization.smoothing import smoothing_scales
from sol.skills.quantization.switched_linear import SwitchedLinear
from sol.technique import StackItem

N_STEPS = 8
pytestmark = pytest.mark.filterwarnings("ignore:.*quantized tensor creation.*")


@pytest.fixture(scope="module")
def ltx():
    return build_tiny("ltx")


@pytest.fixture(scope="module")
def wan():
    return build_tiny("wan")


def run(pipeline, family, config, schedule=None):
    """Counts after one video of eight steps, and its latents."""
    clone = clone_pipeline(pipeline)
    item = StackItem("int8_dynamic", config, schedule or Schedule())
    applied = install_stack(clone, (item,))
    latents = render(clone, tiny_workload(family), PROMPT, 0).latents
    return applied.evidence()["int8_dynamic"].counts, latents


@pytest.mark.parametrize(
    ("config", "steps", "n_quantized"),
    [
        ({}, "all", 8),
        ({"full_first": 2}, "all", 6),
        ({"full_last": 3}, "all", 5),
        ({"full_last": 8}, "all", 0),
        ({"full_last": 9}, "all", 0),
        ({"full_first": 2, "full_last": 2}, "all", 4),
        ({}, "1,4-5", 3),
        ({"full_first": 2}, "1,4-5", 2),
        ({"smooth": 0.5}, "all", 7),
        ({"smooth": 0.5, "full_first": 3}, "all", 5),
    ],
)
def test_steps_outside_keep_full_precision(ltx, config, steps, n_quantized):
    counts, _ = run(ltx, "ltx", config, Schedule(steps=steps))
    assert counts["quantized_calls"] == n_quantized
    assert counts["full_calls"] == N_STEPS - n_quantized


@pytest.mark.parametrize(
    ("branch", "config", "n_quantized"),
    [
        ("both", {}, 16),
        ("cond", {}, 8),
        ("uncond", {}, 8),
        ("cond", {"full_first": 3}, 5),
        # The first step is looked at, in both branches.
        ("both", {"smooth": 0.5}, 14),
        ("cond", {"smooth": 0.5}, 7),
    ],
)
def test_one_branch_alone_where_each_is_a_call(wan, branch, config, n_quantized):
    counts, _ = run(wan, "wan", {"branch": branch, **config})
    assert counts["quantized_calls"] == n_quantized
    assert counts["full_calls"] == 2 * N_STEPS - n_quantized


def test_one_branch_of_a_joint_call_is_refused(ltx):
    with pytest.raises(ConfigError, match="set branch to 'both'"):
        run(ltx, "ltx", {"branch": "cond"})


def test_smoothing_needs_the_branch_that_comes_first(wan):
    with pytest.raises(ConfigError, match="smooth needs the first call"):
        run(wan, "wan", {"branch": "uncond", "smooth": 0.5})


def test_fewer_quantised_steps_come_closer_to_the_baseline(ltx):
    baseline = render(ltx, tiny_workload("ltx"), PROMPT, 0).latents
    errors = [
        float(np.linalg.norm(run(ltx, "ltx", config)[1] - baseline))
        for config in ({}, {"full_first": 4}, {"full_first": 7})
    ]
    assert errors[0] > errors[1] > errors[2] > 0


def test_what_a_format_cannot_take_is_left_and_counted(ltx):
    def misfit(linear):
        return "it is too wide" if linear.out_features > linear.in_features else None

    clone = clone_pipeline(ltx)
    roles = describe_roles(clone)
    how = Quantization("int8_dynamic", Int8DynamicConfig(), Int8DynamicLinear, misfit)
    counts = dict(install_quantized(roles, how, Schedule(), _clock()).evidence().counts)
    assert counts["layers_left_out"] >= 4
    assert counts["layers_quantized"] == 40 - counts["layers_left_out"]


def test_a_format_that_can_take_nothing_says_why(ltx):
    clone = clone_pipeline(ltx)
    how = Quantization(
        "int8_dynamic", Int8DynamicConfig(), Int8DynamicLinear, lambda _: "the sun is up"
    )
    with pytest.raises(NoEffectError, match=r"can take none of .* the sun is up"):
        install_quantized(describe_roles(clone), how, Schedule(), _clock())
    assert all(isinstance(m, nn.Linear) for m in describe_roles(clone).denoisers[0].block_linears)


def _clock():
    from sol.clock import Clock

    return Clock()


def test_a_layer_that_is_quantised_already_is_left_alone(ltx):
    clone = clone_pipeline(ltx)
    first = clone.transformer.transformer_blocks[0].attn1
    first.to_q = Int8DynamicLinear(first.to_q)
    how = Quantization("int8_dynamic", Int8DynamicConfig(), Int8DynamicLinear)
    installed = install_quantized(describe_roles(clone), how, Schedule(), _clock())
    assert installed.evidence().counts["layers_quantized"] == 39


def outlier_layer():
    """A layer whose input has one channel a hundred times as large as the others."""
    torch.manual_seed(0)
    linear = nn.Linear(64, 32)
    x = torch.randn(50, 64)
    x[:, 3] *= 100
    return linear.requires_grad_(False), x


def error(layer, linear, x):
    return float((layer(x) - linear(x)).norm() / linear(x).norm())


def test_smoothing_alone_changes_nothing():
    linear, x = outlier_layer()
    scales = smoothing_scales(x.abs().amax(0), linear.weight, 0.5)
    smoothed = quantize_with_care(linear, lambda layer: layer, smoothing=scales)
    assert torch.allclose(smoothed(x), linear(x), atol=1e-5, rtol=1e-5)
    assert set((scales.log2() % 1).tolist()) == {0.0}


def test_smoothing_spares_the_small_channels_what_the_large_one_costs():
    """Where the large channel matters little: its weights are small."""
    linear, x = outlier_layer()
    linear.weight[:, 3] *= 0.01
    scales = smoothing_scales(x.abs().amax(0), linear.weight, 0.5)
    plain = error(Int8DynamicLinear(linear), linear, x)
    smooth = error(quantize_with_care(linear, Int8DynamicLinear, smoothing=scales), linear, x)
    assert smooth < plain / 4


@pytest.mark.parametrize("rank", [1, 4, 32])
def test_the_low_rank_factors_are_the_best_of_their_rank(rank):
    torch.manual_seed(1)
    weight = torch.randn(32, 64)
    factors = find_low_rank(weight, rank)
    values = torch.linalg.svdvals(weight)
    best = float(values[rank:].square().sum().sqrt())
    found = float((weight - factors.up @ factors.down).norm())
    assert factors.up.shape == (32, rank) and factors.down.shape == (rank, 64)
    assert found == pytest.approx(best, rel=0.01, abs=1e-4)


def test_a_correction_takes_up_what_makes_the_range_wide():
    torch.manual_seed(2)
    linear = nn.Linear(64, 64).requires_grad_(False)
    linear.weight += 0.5 * torch.randn(64, 2) @ torch.randn(2, 64)
    x = torch.randn(100, 64)
    plain = error(Int8DynamicLinear(linear), linear, x)
    assert error(quantize_with_care(linear, Int8DynamicLinear, rank=2), linear, x) < plain / 2


@pytest.mark.parametrize("shape", [(1, 16), (3, 5, 16), (2, 1, 7, 16)])
@pytest.mark.parametrize("bias", [True, False])
def test_int8_rows_agree_with_float(shape, bias):
    torch.manual_seed(0)
    linear = nn.Linear(16, 24, bias=bias).requires_grad_(False)
    x = torch.randn(shape) * 3 + 1
    layer = Int8RowsLinear(linear)
    assert layer(x).shape == linear(x).shape
    assert error(layer, linear, x) < 0.015


def test_a_row_of_zeros_stays_what_the_bias_makes_of_it():
    linear = nn.Linear(16, 24).requires_grad_(False)
    x = torch.zeros(2, 16)
    assert torch.equal(Int8RowsLinear(linear)(x), linear(x))


def test_one_large_row_does_not_cost_the_others():
    torch.manual_seed(0)
    linear = nn.Linear(64, 64, bias=False).requires_grad_(False)
    x = torch.randn(10, 64)
    x[0] *= 1000
    rows = (Int8RowsLinear(linear)(x) - linear(x))[1:].norm() / linear(x)[1:].norm()
    one_scale = (Int8DynamicLinear(linear)(x) - linear(x))[1:].norm() / linear(x)[1:].norm()
    assert rows < 0.02 < 0.5 < one_scale


def test_the_folded_gelu_is_the_one_that_tanh_approximates():
    torch.manual_seed(0)
    linear = nn.Linear(16, 24).requires_grad_(False)
    x = torch.randn(8, 16)
    expected = nn.functional.gelu(Int8RowsLinear(linear)(x), approximate="tanh")
    assert torch.allclose(Int8RowsGELU(linear)(x), expected, atol=1e-6)


def test_a_gelu_is_folded_in_unless_a_correction_stands_between(ltx):
    found = {}
    for rank in (0, 4):
        clone = clone_pipeline(ltx)
        install_stack(clone, (StackItem("int8_rows", {"rank": rank, "full_last": 1}),))
        found[rank] = [m for m in clone.transformer.modules() if isinstance(m, Int8RowsGELU)]
    assert len(found[0]) == 4
    assert found[4] == []


def test_a_switched_layer_keeps_its_weight_readable_only_for_smoothing():
    linear = nn.Linear(16, 16)
    plain = SwitchedLinear(linear, linear, Int8DynamicLinear, 0, 0.0)
    smooth = SwitchedLinear(linear, linear, Int8DynamicLinear, 0, 0.5)
    assert (plain.keeps_original, smooth.keeps_original) == (False, True)
