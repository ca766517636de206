"""What adapters take out of a transformer block whatever the family."""

from __future__ import annotations

from typing import Any

from torch import nn

from sol.roles import CrossAttention


def find_linears(*modules: nn.Module) -> tuple[nn.Module, ...]:
    """The linear layers inside of `modules`, in order."""
    return tuple(
        child for module in modules for child in module.modules() if isinstance(child, nn.Linear)
    )


def describe_cross_attention(attention: Any) -> CrossAttention:
    """A cross-attention whose keys and values are made of the text and nothing else.

    `norm_k` sees the output of `to_k` and no rotary embedding is applied to text, so all three
    depend on the text alone. A model without key normalisation has no `norm_k`.
    """
    parts = (attention.to_k, attention.norm_k, attention.to_v)
    return CrossAttention(attention, tuple(part for part in parts if part is not None))
