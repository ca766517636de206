"""What `sol inspect` says of the attentions of a pipeline."""

from __future__ import annotations

import pytest
from tiny_models import build_tiny, build_tiny_experts

from sol.commands.inspect import describe_attention
from sol.models.families import describe_roles

PARTS = {
    "ltx": [("self", 4, "softmax over the latent grid"), ("cross", 4, "called with a mask")],
    "wan": [("self", 4, "softmax over the latent grid"), ("cross", 4, "left as it is")],
    "sana_video": [("self", 4, "linear"), ("cross", 4, "called with a mask")],
}


@pytest.mark.parametrize("family", PARTS)
def test_each_kind_of_attention_has_its_reason(family):
    found = describe_attention(describe_roles(build_tiny(family)))
    assert [(row["kind"], row["n"]) for row in found] == [(k, n) for k, n, _ in PARTS[family]]
    for row, (_, _, reason) in zip(found, PARTS[family], strict=True):
        assert reason in row["reason"]


def test_the_attentions_of_experts_are_told_apart():
    found = describe_attention(describe_roles(build_tiny_experts()))
    assert [row["denoiser"] for row in found] == ["transformer"] * 2 + ["transformer_2"] * 2
