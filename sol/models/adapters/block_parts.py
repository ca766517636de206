"""What adapters take out of a transformer block whatever the family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from diffusers.models.activations import GELU
from torch import nn

from sol.roles import AttentionKind, AttentionSite, Capability, CrossAttention, GELUProjection

VIDEO_TRANSFORMER = frozenset(
    {
        Capability.STEP_OUTPUT,
        Capability.BLOCK_RESIDUAL,
        Capability.MODULATED_INPUT,
        Capability.GUIDANCE_BRANCHES,
        Capability.SELF_ATTENTION,
        Capability.TEXT_FREE_ATTENTION,
        Capability.COARSE_GRID,
        Capability.PROMPT_PROJECTION,
        Capability.ROTARY_TABLE,
        Capability.MODULATION,
        Capability.TEXT_CROSS_ATTENTION,
        Capability.REPEATED_BLOCKS,
    }
)
"""What every diffusion transformer of repeated, timestep-modulated blocks over text offers."""


TOKEN_TRANSFORMER = frozenset(
    {Capability.LINEAR_FEED_FORWARD, Capability.GRID_ATTENTION, Capability.TOKEN_SET}
)
"""What is added where tokens meet in softmax attention alone, all else being linear layers."""


def find_linears(*modules: nn.Module) -> tuple[nn.Module, ...]:
    """The linear layers inside of `modules`, in order."""
    return tuple(
        child for module in modules for child in module.modules() if isinstance(child, nn.Linear)
    )


def find_gelu_projections(*modules: nn.Module) -> tuple[GELUProjection, ...]:
    """The modules inside of `modules` that are a linear layer and the GELU after it, in order."""
    return tuple(
        GELUProjection(gelu, gelu.proj, gelu.approximate)
        for module in modules
        for gelu in _gelus_in(module)
    )


def _gelus_in(module: nn.Module) -> Iterator[Any]:
    return (child for child in module.modules() if type(child) is GELU)


def find_projections(attention: Any) -> tuple[nn.Module, ...]:
    """The layers that make query, key and value, in this order."""
    return (attention.to_q, attention.to_k, attention.to_v)


def describe_cross_attention(attention: Any) -> CrossAttention:
    """A cross-attention whose keys and values are made of the text and nothing else.

    `norm_k` sees the output of `to_k` and no rotary embedding is applied to text, so all three
    depend on the text alone. A model without key normalisation has no `norm_k`.
    """
    parts = (attention.to_k, attention.norm_k, attention.to_v)
    return CrossAttention(attention, tuple(part for part in parts if part is not None))


def find_attention_sites(
    blocks: Sequence[Any], *, is_cross_masked: bool
) -> tuple[AttentionSite, ...]:
    """The attentions `attn1`, over the hidden states, and `attn2`, over the text, of each block.

    Those whose processor has no back-end to set do not go through the dispatch.
    """
    sites = (
        site
        for block in blocks
        for site in (
            _describe_attention(block.attn1, "self", is_masked=False),
            _describe_attention(block.attn2, "cross", is_masked=is_cross_masked),
        )
    )
    return tuple(site for site in sites if hasattr(site.module.processor, "_attention_backend"))


def _describe_attention(attention: Any, kind: AttentionKind, *, is_masked: bool) -> AttentionSite:
    return AttentionSite(attention, kind, attention.inner_dim // attention.heads, is_masked)


def modulate(block: Any, hidden: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
    """norm1(hidden) * (1 + scale) + shift, with rows 0 and 1 of the block's six modulations.

    Args:
        hidden: (batch, tokens, width).
        embedding: The timestep's, (batch, 1 or tokens, 6 * width); the block's table is added.
    """
    table = block.scale_shift_table
    six = table[None, None] + embedding.reshape(
        hidden.shape[0], embedding.shape[1], table.shape[0], -1
    )
    shift, scale = six[:, :, 0], six[:, :, 1]
    modulated: torch.Tensor = block.norm1(hidden) * (1 + scale) + shift
    return modulated
