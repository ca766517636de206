import tracemalloc

import pytest

from sol.errors import ConfigError
from sol.schedule import Schedule, format_range, parse_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", {0, 1, 2, 3, 4, 5}),
        ("none", set()),
        ("3", {3}),
        ("1-3", {1, 2, 3}),
        ("first:2", {0, 1}),
        ("last:2", {4, 5}),
        ("first:99", {0, 1, 2, 3, 4, 5}),
        ("first:1, 3-4,last:1", {0, 3, 4, 5}),
    ],
)
def test_ranges(text, expected):
    assert parse_range(text, 6) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "yes", "true", "4-", "-3", "16-28-30", "4..8", "first", "last:-1", "1;2", "1,"),
        *("1000000", "0-9999999999", "first:" + "9" * 5000, "٣"),
    ],
)
def test_what_is_not_a_range_is_refused(text):
    with pytest.raises(ConfigError, match="is not a range"):
        Schedule(steps=text)


def test_backwards_is_refused():
    with pytest.raises(ConfigError, match="runs backwards"):
        parse_range("8-4", 10)


def test_an_index_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match=r"index 28, but there are only 24 \(0-23\)"):
        parse_range("16-28", 24)


def test_indices_that_do_not_exist_are_refused_before_they_are_listed():
    tracemalloc.start()
    with pytest.raises(ConfigError, match="index 999999, but there are only 24"):
        parse_range("0-999999", 24)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("indices", [set(), {0}, {1, 2, 3}, {0, 2, 3, 7}, {5, 7, 9}])
def test_format_is_the_inverse_of_parse(indices):
    assert parse_range(format_range(frozenset(indices)), 10) == indices


def test_restricted_axes():
    assert Schedule().restricted_axes == set()
    assert Schedule(steps="4-8", layers="first:2").restricted_axes == {"steps", "layers"}
