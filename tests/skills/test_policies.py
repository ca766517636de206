from dataclasses import replace

import pytest
from example_prompts import DIAGNOSIS, diagnosis_of
from sparsity_examples import ATTENTION, SETTLING

from sol.diagnosis import Diagnosis
from sol.skills.policies import (
    POLICIES,
    Fact,
    find_safe_steps,
    find_settled_tokens,
    find_sparse_heads,
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((0.9, 0.5, 0.1, 0.05, 0.04, 0.2, 0.3), Fact(
            "steps 3-5 change least (relative change below 0.2)", {"safe_steps": "3-5"})),
        ((0.1, 0.9, 0.1, 0.1, 0.9, 0.9, 0.9), Fact(
            "steps 3-4 change least (relative change below 0.9)", {"safe_steps": "3-4"})),
        ((0.9, 0.1, 0.9, 0.1, 0.9), None),
        ((0.5, 0.5, 0.5, 0.5), None),
        ((), None),
    ],
)  # fmt: skip
def test_the_safe_steps_are_the_longest_calm_run(changes, expected):
    assert find_safe_steps(diagnosis_of(changes)) == expected


def test_the_cache_skill_tells_the_others():
    calm = diagnosis_of((0.9, 0.1, 0.2, 0.5))
    facts = {skill: policy.fact(calm) for skill, policy in POLICIES.items()}
    assert facts.pop("cache").data == {"safe_steps": "2-3"}
    assert set(facts.values()) == {None}


def test_sparse_attention_tells_what_few_blocks_hold_and_how_long_they_stay():
    fact = find_sparse_heads(replace(DIAGNOSIS, attention=ATTENTION))
    assert fact.text == (
        "the best 25% of blocks hold 25% to 90% of attention; 90% of those chosen were so the "
        "step before"
    )
    assert fact.data == pytest.approx(
        {"density": 0.25, "least_mass": 0.25, "most_mass": 0.9, "overlap": 0.9}
    )


def test_without_two_steps_to_compare_only_the_mass_is_told():
    alone = replace(ATTENTION, overlap={})
    fact = find_sparse_heads(replace(DIAGNOSIS, attention=alone))
    assert fact.text == "the best 25% of blocks hold 25% to 90% of attention"
    assert "overlap" not in fact.data


def test_token_pruning_tells_when_and_where_tokens_settle():
    fact = find_settled_tokens(replace(DIAGNOSIS, settling=SETTLING))
    assert fact.text == (
        "half of the tokens settle by step 2 of 4 (change below 5%); the calmest quarter changes "
        "0.30 times as much as the liveliest"
    )
    assert fact.data == {"settled_by": 2, "spread": 0.3, "settling_steps": "1.0 2.5,3.0 3.0"}


def test_sparse_attention_saves_attention_without_its_linear_layers():
    parts = {"self_attention": 6.0, "qkv": 1.5, "out": 0.5}
    diagnosis = Diagnosis(10.0, 9.0, 6.0, 0.5, 0.1, parts)
    assert diagnosis.bare_attention_s == 4.0
    assert POLICIES["sparse_attention"].bound(diagnosis) == pytest.approx(10 / 6)
    assert POLICIES["token_pruning"].bound(diagnosis) == pytest.approx(10.0)
