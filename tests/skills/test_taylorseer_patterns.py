"""A recipe's patterns of module names must end, whatever they are matched with."""

import pytest

from sol.errors import ConfigError
from sol.skills.registry import get_technique
from sol.technique import parse_config

TAYLORSEER = get_technique("diffusers_taylorseer")


@pytest.mark.parametrize("pattern", [r".*\.attn[12]", "^blocks.*attn", r"blocks\.\d+\.ff", "a|b"])
def test_patterns_that_end_are_taken(pattern):
    config = parse_config(TAYLORSEER, {"cache_identifiers": [pattern]})
    assert config.cache_identifiers == (pattern,)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a+)+b", "Repeat no group"),
        ("(a|aa){9}", "Repeat no group"),
        ("a?a?a?a?aaaa", "at most 3 of the signs"),
        ("(|a)(|a)(|a)(|a)aaaa", "at most 3 of the signs"),
        (".*.*.*.*x", "at most 3 of the signs"),
        ("(", "is no regular expression"),
        ("x{99999999999}", "is no regular expression"),
        ("(" * 3000 + ")" * 3000, "is no regular expression"),
    ],
)
def test_others_are_refused_before_anything_is_matched(pattern, reason):
    with pytest.raises(ConfigError, match=reason):
        parse_config(TAYLORSEER, {"cache_identifiers": [pattern]})
