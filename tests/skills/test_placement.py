"""Which layers a quantization is for: the text of a recipe, and plans by sensitivity."""

import itertools
import math

import pytest
import torch
from tiny_models import build_tiny
from torch import nn

from sol.errors import ConfigError
from sol.models.families import describe_roles
from sol.skills.quantization.placement import (
    BLOCK_KINDS,
    choose_layers,
    format_placement,
    parse_placement,
)
from sol.skills.quantization.plans import Part, plan_layers

ALL_BLOCKS = frozenset(range(4))


@pytest.fixture(scope="module")
def denoiser():
    (denoiser,) = describe_roles(build_tiny("ltx")).denoisers
    return denoiser


@pytest.mark.parametrize(
    ("text", "n_layers"),
    [
        ("all", 40),
        ("feed_forward=all", 8),
        ("feed_forward=0", 2),
        ("qkv=1-2", 6),
        ("out=first:1; cross=last:1", 5),
        ("cross=none", 0),
        ("outside=none", 0),
    ],
)
def test_a_placement_names_layers(denoiser, text, n_layers):
    layers = choose_layers(denoiser, parse_placement(text), ALL_BLOCKS)
    assert len(layers) == n_layers
    assert all(isinstance(layer, nn.Linear) for layer in layers)


def test_outside_are_the_layers_that_are_in_no_block(denoiser):
    outside = choose_layers(denoiser, parse_placement("outside=all"), ALL_BLOCKS)
    assert set(outside).isdisjoint(denoiser.block_linears)
    assert denoiser.module.proj_out in outside


def test_blocks_of_the_schedule_alone_are_chosen(denoiser):
    layers = choose_layers(denoiser, parse_placement("feed_forward=all"), frozenset({1}))
    assert layers == denoiser.feed_forward[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("feed_forward", "has no '='"),
        ("ffn=all", "Known: feed_forward, qkv, out, cross, outside"),
        ("qkv=0; qkv=1", "names qkv twice"),
        ("outside=0", "'all' or 'none'"),
        ("", "is no placement"),
    ],
)
def test_what_is_no_placement_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_placement(text)


@pytest.mark.parametrize(("text", "message"), [("qkv=9", "only 4"), ("qkv=x", "not a range")])
def test_blocks_that_are_not_there_are_refused(denoiser, text, message):
    with pytest.raises(ConfigError, match=message):
        choose_layers(denoiser, parse_placement(text), ALL_BLOCKS)


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        ({"qkv": frozenset({0, 1, 3})}, "qkv=0-1,3"),
        ({"feed_forward": ALL_BLOCKS, "cross": frozenset()}, "feed_forward=all"),
        ({"cross": frozenset({2}), "qkv": ALL_BLOCKS}, "qkv=all; cross=2"),
    ],
)
def test_placements_are_written_as_they_are_read(blocks, text):
    assert format_placement(blocks, 4) == text
    kinds = {kind for kind, chosen in blocks.items() if chosen}
    assert set(parse_placement(text)) == kinds


def parts_of(errors, seconds=1.0):
    """Two kinds in four blocks, with an error each."""
    return [
        Part(kind, block, seconds, error)
        for kind, row in errors.items()
        for block, error in enumerate(row)
    ]


SENSITIVE_QKV = {"feed_forward": (0.1, 0.2, 0.1, 0.1), "qkv": (0.9, 0.8, 0.7, 0.6)}


def test_plans_begin_with_what_is_least_sensitive_and_end_with_everything():
    plans = plan_layers(parts_of(SENSITIVE_QKV), 4)
    assert plans[0].layers == "feed_forward=0,2"
    assert plans[-1].layers == "feed_forward=all; qkv=all"
    assert plans[-1].coverage == pytest.approx(1.0)


def test_each_plan_holds_the_one_before():
    plans = plan_layers(parts_of(SENSITIVE_QKV), 4)
    assert len(plans) > 3
    chosen = [_blocks(plan.layers) for plan in plans]
    assert all(a < b for a, b in itertools.pairwise(chosen))
    assert [plan.error for plan in plans] == sorted(plan.error for plan in plans)


def _blocks(text):
    from sol.schedule import parse_range

    ranges = parse_placement(text)
    return {(kind, block) for kind, blocks in ranges.items() for block in parse_range(blocks, 4)}


def test_time_is_bought_where_it_costs_least():
    """A part that takes four times as long is worth twice the error."""
    slow = [Part("qkv", 0, 4.0, 0.19)]
    quick = [Part("out", 0, 1.0, 0.1), Part("out", 1, 1.0, 0.1)]
    assert plan_layers([*quick, *slow], 2)[0].layers == "qkv=0"
    worse = [Part("qkv", 0, 4.0, 0.21)]
    assert plan_layers([*quick, *worse], 2)[0].layers.startswith("out=")


def test_errors_of_parts_add_as_squares():
    (plan,) = plan_layers([Part("out", 0, 1.0, 0.3)], 1)
    assert plan.error == pytest.approx(0.3)
    both = plan_layers([Part("out", 0, 1.0, 0.3), Part("qkv", 0, 1.0, 0.4)], 1)[-1]
    assert both.error == pytest.approx(math.hypot(0.3, 0.4))


def test_all_kinds_of_a_block_are_its_linear_layers(denoiser):
    layers = choose_layers(
        denoiser, parse_placement("; ".join(f"{k}=0" for k in BLOCK_KINDS)), ALL_BLOCKS
    )
    in_block = [m for m in denoiser.blocks[0].modules() if isinstance(m, nn.Linear)]
    assert set(layers) == set(in_block)
    assert torch.is_tensor(layers[0].weight)
