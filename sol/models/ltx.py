"""LTX-Video: one denoiser, guidance in one batch, text through cross-attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from sol.forward_arguments import argument_reader
from sol.models.token_grid import describe_token_grid
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
                hidden="hidden_states",
                self_attention=tuple(block.attn1 for block in blocks),
                modulated_input=_modulated_input(blocks[0]),
                prompt_projection=(transformer.caption_projection,),
                rotary=transformer.rope,
                modulation=(transformer.time_embed,),
                grid=describe_token_grid(transformer),
            ),
        ),
        guidance="batched",
        capabilities=frozenset(
            {
                Capability.STEP_OUTPUT,
                Capability.BLOCK_RESIDUAL,
                Capability.MODULATED_INPUT,
                Capability.GUIDANCE_BRANCHES,
                Capability.SELF_ATTENTION,
                Capability.PROMPT_PROJECTION,
                Capability.ROTARY_TABLE,
                Capability.MODULATION,
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


def _modulated_input(
    block: Any,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    """norm1(hidden) * (1 + scale) + shift, with rows 0 and 1 of the block's six modulations."""
    read_hidden = argument_reader(block, "hidden_states")
    read_temb = argument_reader(block, "temb")

    def modulated(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        hidden, temb = read_hidden(args, kwargs), read_temb(args, kwargs)
        six = block.scale_shift_table[None, None] + temb.reshape(
            hidden.shape[0], temb.shape[1], block.scale_shift_table.shape[0], -1
        )
        shift, scale = six[:, :, 0], six[:, :, 1]
        normed: torch.Tensor = block.norm1(hidden)
        return normed * (1 + scale) + shift

    return modulated


def _linears(module: nn.Module) -> tuple[nn.Module, ...]:
    return tuple(child for child in module.modules() if isinstance(child, nn.Linear))
