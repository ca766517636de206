"""The time of a stack, from the diagnosis and what each member did alone."""

from __future__ import annotations

import pytest
from example_prompts import DIAGNOSIS
from stack_examples import SHARES, effect

from sol.diagnosis import Diagnosis
from sol.integrator.cost import MemberCost, Part, cost_of, parts_of, predict_time, shares_of
from sol.skills.registry import TECHNIQUES

EVERYWHERE = frozenset(Part)
LINEAR, ATTENTION = frozenset({Part.LINEAR}), frozenset({Part.ATTENTION})


def member(time: float, parts: frozenset[Part] = EVERYWHERE, computed: float = 1.0) -> MemberCost:
    return MemberCost(time, computed, parts)


@pytest.mark.parametrize(
    "alone",
    [
        pytest.param(member(0.8), id="cheaper everywhere"),
        pytest.param(member(0.85, LINEAR), id="cheaper in one part"),
        pytest.param(member(0.6, ATTENTION), id="saves more than its part has"),
        pytest.param(member(1.1, LINEAR), id="slower"),
        pytest.param(member(0.55, computed=0.5), id="leaves calls out"),
        pytest.param(member(0.7, computed=0.5), id="leaves calls out, at a price"),
        pytest.param(member(0.3, computed=0.5), id="leaves calls out, the others are cheaper"),
    ],
)
def test_one_member_takes_what_it_took_alone(alone):
    assert predict_time(SHARES, [alone]) == pytest.approx(alone.time)


def test_nothing_takes_what_the_baseline_takes():
    assert predict_time(SHARES, []) == pytest.approx(1.0)


def test_savings_in_different_parts_add_up():
    stack = [member(1 - 0.15, LINEAR), member(1 - 0.1, ATTENTION)]
    assert predict_time(SHARES, stack) == pytest.approx(1 - 0.15 - 0.1)


def test_savings_in_one_part_multiply():
    half_of_linear = member(1 - 0.15, LINEAR)
    stack = [half_of_linear, half_of_linear]
    assert predict_time(SHARES, stack) == pytest.approx(1 - 0.3 * (1 - 0.5 * 0.5))


def test_calls_that_are_left_multiply_with_what_a_call_still_costs():
    half_of_calls = member(0.1 + 0.9 * 0.5, computed=0.5)
    stack = [half_of_calls, member(1 - 0.15, LINEAR)]
    assert predict_time(SHARES, stack) == pytest.approx(0.1 + 0.5 * (0.9 - 0.15))


def test_calls_left_out_by_two_are_not_left_out_twice():
    stack = [
        member(0.1 + 0.9 * 0.7, computed=0.7),
        member(0.1 + 0.9 * 0.8, computed=0.8),
    ]
    assert predict_time(SHARES, stack) == pytest.approx(0.1 + 0.9 * 0.5)


def test_what_leaving_out_costs_is_not_made_cheaper_by_others():
    extra = 0.1
    cheaper = member(1 - 0.15, LINEAR)
    free = member(0.1 + 0.9 * 0.5, computed=0.5)
    at_a_price = member(free.time + extra, computed=0.5)
    with_free = predict_time(SHARES, [free, cheaper])
    assert predict_time(SHARES, [at_a_price, cheaper]) == pytest.approx(with_free + extra)


@pytest.mark.parametrize(
    "stack",
    [
        pytest.param([member(0.12)] * 4, id="nearly free calls, four times"),
        pytest.param([member(0.11, LINEAR), member(0.11, ATTENTION)], id="in two parts"),
        pytest.param([member(0.15, computed=0.05), member(0.2)], id="few and cheap calls"),
        pytest.param([member(0.3, computed=0.5), member(0.3)], id="half of the calls, and cheap"),
        pytest.param([member(0.01)], id="measured below what can be"),
    ],
)
def test_the_time_outside_of_the_denoiser_is_never_saved(stack):
    assert predict_time(SHARES, stack) > SHARES.outside


def test_the_shares_are_those_of_the_diagnosis():
    parts = {"text_projection": 1.0, "self_attention": 3.0, "qkv": 0.8, "out": 0.2}
    shares = shares_of(Diagnosis(10.0, 9.0, 4.0, 0.5, 0.1, part_s=parts))
    assert shares.outside == pytest.approx(0.1)
    assert shares.parts == pytest.approx(
        {Part.LINEAR: 0.3, Part.TEXT: 0.1, Part.ATTENTION: 0.2, Part.REST: 0.3}
    )
    assert shares.denoiser == pytest.approx(0.9)


def test_parts_that_were_not_recorded_have_a_share_all_the_same():
    assert min(shares_of(DIAGNOSIS).parts.values()) > 0


@pytest.mark.parametrize(
    ("technique", "parts"),
    [
        ("int8_dynamic", {Part.LINEAR, Part.TEXT}),
        ("packed_linear", {Part.LINEAR, Part.TEXT}),
        ("text_kv", {Part.TEXT}),
        ("topk_blocks", {Part.ATTENTION}),
        ("rotary_tables", {Part.REST}),
        ("easycache", set(Part)),
        ("stale_tokens", set(Part)),
        ("full_compile", set(Part)),
    ],
)
def test_a_technique_saves_where_it_writes(technique, parts):
    assert parts_of(TECHNIQUES[technique]) == parts


@pytest.mark.parametrize("name", TECHNIQUES)
def test_every_technique_saves_somewhere(name):
    assert parts_of(TECHNIQUES[name])


def test_the_cost_of_a_setting_is_what_it_did_alone():
    cost = cost_of(TECHNIQUES["text_kv"], effect("text_kv", 1.25, computed=0.5))
    assert cost.time == pytest.approx(0.8)
    assert (cost.computed, cost.parts) == (0.5, {Part.TEXT})
