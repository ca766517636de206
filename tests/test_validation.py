from dataclasses import dataclass

import pytest
from pydantic import TypeAdapter, ValidationError

from sol.target import STRICT
from sol.validation import explain


@dataclass(frozen=True)
class Settings:
    __pydantic_config__ = STRICT

    name: str
    steps: dict[str, int]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"steps": {}}', ["name: required"]),
        ('{"name": "a", "steps": {}, "nmae": 3}', ["nmae: no such key; remove it"]),
        ('{"name": "a", "steps": {"x": "4"}}', ["steps.x: ", "valid integer", "got '4'"]),
        ('{"name": 1, "steps": 2}', ["name: ", "got 1", "; steps: ", "got 2"]),
        ("[1]", ["top level"]),
    ],
)
def test_each_problem_has_its_key_rule_and_value(text, words):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Settings).validate_json(text)
    explanation = explain(caught.value)
    assert [word for word in words if word not in explanation] == []


def test_what_is_wrong_throughout_is_explained_in_a_few_lines():
    many = ", ".join(f'"key{n}": "{"x" * 1000}"' for n in range(1000))
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Settings).validate_json(f'{{"name": "a", "steps": {{{many}}}}}')
    explanation = explain(caught.value)
    assert explanation.startswith("steps.key0: ")
    assert explanation.endswith("; and 992 more.")
    assert len(explanation) < 5000
