"""A stack with the lossy members of a rejected one is not worth another look."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sol.stages.judge import contains_rejected_loss, lossy_members
from sol.technique import StackItem

EASY = StackItem("easycache", {"threshold": 0.2})
GENTLE = StackItem("easycache", {"threshold": 0.1})
INT8 = StackItem("int8_dynamic", {"layers": "all"})
COMPILE = StackItem("regional_compile")
TEXT = StackItem("text_kv")


def judged(stack, accepted=False):
    verdict = SimpleNamespace(is_accepted=accepted)
    return SimpleNamespace(
        measured=SimpleNamespace(candidate=SimpleNamespace(stack=stack)),
        gate=SimpleNamespace(verdict=verdict),
    )


def test_only_lossy_members_count():
    assert lossy_members((EASY, COMPILE, TEXT)) == lossy_members((EASY,))
    assert lossy_members((COMPILE, TEXT)) == frozenset()
    assert lossy_members((EASY,)) != lossy_members((GENTLE,))


@pytest.mark.parametrize(
    ("rejected", "stack", "hopeless"),
    [
        ((EASY,), (EASY,), True),
        ((EASY,), (EASY, COMPILE), True),
        ((EASY, COMPILE), (EASY, INT8), True),
        ((EASY, INT8), (EASY,), False),
        ((EASY,), (GENTLE,), False),
        ((COMPILE,), (COMPILE, TEXT), False),
    ],
)
def test_what_contains_a_rejected_loss_is_hopeless(rejected, stack, hopeless):
    assert contains_rejected_loss(stack, [judged(rejected)]) is hopeless


def test_what_was_accepted_rules_nothing_out():
    assert not contains_rejected_loss((EASY,), [judged((EASY,), accepted=True)])
