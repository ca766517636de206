import pytest
from examples import diagnosis_of

from sol.skills.policies import POLICIES, Fact, find_safe_steps


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
