"""SANA-Video: one denoiser, guidance in one batch, linear self-attention, convolutional
feed-forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from sol.forward_arguments import argument_reader
from sol.models.adapters.block_parts import (
    VIDEO_TRANSFORMER,
    describe_cross_attention,
    find_attention_sites,
    find_linears,
    find_projections,
    modulate,
)
from sol.models.adapters.token_grid import as_called, patched_grid
from sol.roles import Capability, DenoiserRoles, Roles
from sol.target import Workload


def describe(pipeline: Any) -> Roles:
    """Roles of a `SanaVideoPipeline`."""
    return Roles(
        family="sana_video",
        denoisers=(_denoiser(pipeline.transformer),),
        guidance="batched",
        capabilities=VIDEO_TRANSFORMER,
        lacks={
            Capability.LINEAR_FEED_FORWARD: (
                "SANA-Video's feed-forward is made of convolutions, it has no linear layers"
            ),
            Capability.GRID_ATTENTION: (
                "SANA-Video's self-attention is linear: it has no scores of which some could be "
                "left out"
            ),
            Capability.TOKEN_SET: (
                "SANA-Video's feed-forward mixes neighbouring tokens: single ones cannot be left "
                "out, only whole grids made coarser"
            ),
            Capability.GIVEN_TOKENS: (
                "a SanaVideoPipeline makes the whole video: no token is given"
            ),
        },
    )


def call_arguments(workload: Workload) -> Mapping[str, Any]:
    """Keyword arguments of `SanaVideoPipeline.__call__`; it has none for the frame rate.

    Binning is off: it would denoise at a resolution from a table of the pipeline's and resize the
    frames, and the workload would not say what was computed.
    """
    return {
        "height": workload.height,
        "width": workload.width,
        "frames": workload.num_frames,
        "num_inference_steps": workload.steps,
        "guidance_scale": workload.guidance_scale,
        "negative_prompt": workload.negative_prompt,
        "max_sequence_length": workload.max_sequence_length,
        "use_resolution_binning": False,
    }


def _denoiser(transformer: Any) -> DenoiserRoles:
    blocks = tuple(transformer.transformer_blocks)
    return DenoiserRoles(
        name="transformer",
        module=transformer,
        latents="hidden_states",
        text="encoder_hidden_states",
        blocks=blocks,
        cross_attention=tuple(describe_cross_attention(block.attn2) for block in blocks),
        feed_forward=tuple(find_linears(block.ff) for block in blocks),
        self_projections=tuple(find_projections(block.attn1) for block in blocks),
        self_output=tuple(find_linears(block.attn1.to_out) for block in blocks),
        cross_projections=tuple(find_linears(block.attn2) for block in blocks),
        hidden="hidden_states",
        self_attention=tuple(block.attn1 for block in blocks),
        modulated_input=_modulated_input(blocks[0]),
        timestep_embedding="timestep",
        prompt_projection=(transformer.caption_projection, transformer.caption_norm),
        rotary=transformer.rope,
        modulation=(transformer.time_embed,),
        attention_sites=find_attention_sites(blocks, is_cross_masked=True),
        token_grid=patched_grid(transformer),
        resize_call=as_called,
    )


def _modulated_input(
    block: Any,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    read_hidden = argument_reader(block, "hidden_states")
    # What the block calls `timestep` is its embedding.
    read_timestep = argument_reader(block, "timestep")

    def modulated(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        hidden = read_hidden(args, kwargs)
        return modulate(block, hidden, read_timestep(args, kwargs)).to(hidden.dtype)

    return modulated
