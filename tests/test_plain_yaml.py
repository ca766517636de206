"""What a recipe's YAML may hold, and what it costs to refuse the rest."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sol.plain_yaml import MAX_BYTES, MAX_DEPTH, MAX_VALUES, is_hidden, load_plain
from sol.recipe_file import dump_plain

DATES_AND_THE_LIKE = ["2026-01-02", "1:30", "0x10", "007", "1_000", "1e5", "yes", "off", "=", "<<"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("[1, -2, 0.5, 2.0e-05, true, null, ~]", [1, -2, 0.5, 2e-5, True, None, None]),
        ("a: '3'\nb: x y\nc: {}", {"a": "3", "b": "x y", "c": {}}),
        (f"[{', '.join(DATES_AND_THE_LIKE)}]", DATES_AND_THE_LIKE),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ('"tab\\t\\u00e9"', "tab\té"),
    ],
)
def test_plain_data_is_read(text, value):
    assert load_plain(text) == value


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: &x 1\nb: *x", "anchors and aliases are not read"),
        ("a: *x", "anchors and aliases are not read"),
        ("a: !!python/object/apply:os.system [ls]", "tags are not read, got 'tag:yaml.org"),
        ("a: !!binary aGk=", "tags are not read"),
        ("!!map {a: 1}", "tags are not read"),
        ("a: !own 1", "tags are not read, got '!own'"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is there twice"),
        ("a: {b: 1, b: 1}", "the key 'b' is there twice"),
        ("1: a", "keys are text, got 1"),
        ("true: a", "keys are text, got True"),
        ("[a]: b", "keys are text, got"),
        ("? {a: 1}\n: b", "keys are text, got"),
        ("a: .nan", "numbers are finite, got .nan"),
        ("a: -.inf", "numbers are finite, got -.inf"),
        ("a: 1.0e+999", "numbers are finite, got '1.0e[+]999'"),
        ("a: 9223372036854775808", "integers have at most 64 bits"),
        ("a: 1" + "0" * 100_000, "integers have at most 64 bits, got '1000"),
        ('a: "\\0"', "text has no control characters, got '.x00'"),
        ('a: "\\e[2J"', "text has no control characters, got '.x1b'"),
        ('a: "\\ud800"', "text has no control characters, got '.ud800'"),
        ("a: x\u202ey", "text has no control characters, got '.u202e'"),
        ("a: 1\n---\nb: 2", "a second document begins"),
        ("[" * (MAX_DEPTH + 2), f"nested more than {MAX_DEPTH} deep"),
        ("- " * 100_000, f"nested more than {MAX_DEPTH} deep"),
        ("{" * 100_000, f"nested more than {MAX_DEPTH} deep"),
        (f"[{'1,' * MAX_VALUES}]", f"more than {MAX_VALUES} values"),
        (f"{{{',' * MAX_VALUES}}}", "expected"),
        ("a: [1", "expected ',' or ']'"),
        ("\x00", "special characters are not allowed"),
        ("%YAML 3.0\n---\na", "incompatible YAML document"),
    ],
)
def test_what_is_more_than_plain_is_refused(text, rule):
    with pytest.raises(yaml.YAMLError, match=rule):
        load_plain(text)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * MAX_BYTES,
        f"[{'1,' * (MAX_BYTES // 2)}]",
    ],
    ids=["laughs", "deep", "long list"],
)
def test_the_memory_is_bounded_whatever_is_read(text):
    tracemalloc.start()
    try:
        load_plain(text)
    except yaml.YAMLError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 64 * 2**20


TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"])
    | st.sampled_from("0123456789eE+-._xob:~nulltrueyesoff \n\t\r,[]{}#&*!|>'\"%@`=<")
).filter(lambda text: not any(map(is_hidden, text)))
SCALARS = (
    TEXTS
    | st.integers(1 - 2**63, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(TEXTS, VALUES))
def test_what_is_written_is_what_is_read(data):
    assert load_plain(dump_plain(data)) == data
