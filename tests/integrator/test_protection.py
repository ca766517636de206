"""One number of protected steps for a whole stack."""

from __future__ import annotations

from dataclasses import fields

import pytest
from stack_examples import effect

from sol.integrator.effects import estimate
from sol.integrator.protection import share_protection
from sol.skills.registry import TECHNIQUES
from sol.space import Int, Space

SPACES = {
    "easycache": Space({"warmup": Int(0, 8, bolder="down"), "tail": Int(0, 4, bolder="down")}),
    "int8_dynamic": Space({"full_first": Int(0, 4, bolder="down")}),
    "topk_blocks": Space({"dense_first": Int(0, 8, bolder="down")}),
    "text_kv": Space(),
}
EASYCACHE = effect("easycache", warmup=6, tail=1)
INT8 = effect("int8_dynamic", full_first=1)
TOPK = effect("topk_blocks", dense_first=6)
TEXT_KV = effect("text_kv")


def shared(*members, spaces=SPACES) -> list[list[dict]]:
    """The knobs of every stack that shares its protection."""
    by_name = {member.technique: member for member in members}

    def find(item):
        return estimate(spaces[item.technique], item.config, (by_name[item.technique],))

    found = share_protection(members, TECHNIQUES, spaces, find)
    return [[dict(effect.config) for effect in stack] for stack in found]


def test_every_number_that_a_member_has_is_shared_by_all_as_far_as_they_can():
    """Quantization can leave 4 steps as they are at most."""
    assert shared(EASYCACHE, INT8, TEXT_KV) == [
        [{"warmup": 1, "tail": 1}, {"full_first": 1}, {}],
        [{"warmup": 6, "tail": 1}, {"full_first": 4}, {}],
    ]


@pytest.mark.parametrize(
    ("members", "spaces"),
    [
        pytest.param((EASYCACHE, TEXT_KV), SPACES, id="one member protects steps"),
        pytest.param((EASYCACHE, TOPK), SPACES, id="they share one already"),
        pytest.param((EASYCACHE, INT8), {"easycache": SPACES["easycache"]}, id="not to be chosen"),
        pytest.param((), SPACES, id="nothing"),
    ],
)
def test_where_there_is_nothing_to_share_nothing_changes(members, spaces):
    assert shared(*members, spaces=spaces) == []


@pytest.mark.parametrize("name", [n for n, t in TECHNIQUES.items() if t.protects])
def test_what_protects_steps_is_a_setting_of_the_technique(name):
    technique = TECHNIQUES[name]
    assert set(technique.protects) <= {field.name for field in fields(technique.config)}
