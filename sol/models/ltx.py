"""LTX-Video: one denoiser, guidance in one batch, text through cross-attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sol.roles import Capability, CrossAttention, DenoiserRoles, Roles
from sol.target import Workload


def describe(pipeline: Any) -> Roles:
    """Roles of an `LTXPipeline`."""
    transformer = pipeline.transformer
    blocks = tuple(transformer.transformer_blocks)
    return Roles(
        family="ltx",
        denoisers=(
            DenoiserRoles(
                name="transformer",
                module=transformer,
                latents="hidden_states",
                text="encoder_hidden_states",
                blocks=blocks,
                cross_attention=tuple(_cross_attention(block) for block in blocks),
                feed_forward=tuple(_linears(block.ff) for block in blocks),
                attention_projections=tuple(
                    _linears(block.attn1) + _linears(block.attn2) for block in blocks
                ),
            ),
        ),
        guidance="batched",
        capabilities=frozenset(
            {
                Capability.STEP_OUTPUT,
                Capability.TEXT_CROSS_ATTENTION,
                Capability.REPEATED_BLOCKS,
                Capability.LINEAR_FEED_FORWARD,
            }
        ),
    )


def call_arguments(workload: Workload) -> Mapping[str, Any]:
    """Keyword arguments of `LTXPipeline.__call__`."""
    return {
        "height": workload.height,
        "width": workload.width,
        "num_frames": workload.num_frames,
        "frame_rate": workload.frame_rate,
        "num_inference_steps": workload.steps,
        "guidance_scale": workload.guidance_scale,
        "negative_prompt": workload.negative_prompt,
        "max_sequence_length": workload.max_sequence_length,
    }


def _cross_attention(block: Any) -> CrossAttention:
    attention = block.attn2
    # norm_k sees the output of to_k, rotary embedding is not applied to text: all three depend
    # on the text alone.
    return CrossAttention(attention, (attention.to_k, attention.norm_k, attention.to_v))


def _linears(module: nn.Module) -> tuple[nn.Module, ...]:
    return tuple(child for child in module.modules() if isinstance(child, nn.Linear))
