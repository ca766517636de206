"""LTX-Video: one denoiser, guidance in one batch, text through cross-attention.

From an image it goes on with a video: the latents of the first frame are given, and each token
has a timestep of its own, which is 0 where it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from sol.forward_arguments import argument_reader
from sol.models.adapters.block_parts import (
    TOKEN_TRANSFORMER,
    VIDEO_TRANSFORMER,
    describe_cross_attention,
    find_attention_sites,
    find_gelu_projections,
    find_linears,
    find_projections,
    modulate,
)
from sol.models.adapters.published import find_teacache
from sol.models.adapters.token_grid import describe_token_grid, resize_told_call, told_grid
from sol.roles import Capability, DenoiserRoles, Roles
from sol.target import Workload

FROM_IMAGE = "LTXImageToVideoPipeline"

_NOTHING_GIVEN = "an LTXPipeline makes the whole video: no token is given"

_FULL_TIMESTEPS = (
    "an LTXImageToVideoPipeline gives every token of the full grid a timestep of its own, "
    "whatever the latents are"
)


def describe(pipeline: Any) -> Roles:
    """Roles of an `LTXPipeline` or an `LTXImageToVideoPipeline`."""
    transformer = pipeline.transformer
    blocks = tuple(transformer.transformer_blocks)
    is_from_image = type(pipeline).__name__ == FROM_IMAGE
    absent = (
        {Capability.COARSE_GRID: _FULL_TIMESTEPS}
        if is_from_image
        else {Capability.GIVEN_TOKENS: _NOTHING_GIVEN}
    )
    return Roles(
        family="ltx",
        denoisers=(
            DenoiserRoles(
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
                timestep_embedding="temb",
                published_teacache=find_teacache("ltx", transformer.config),
                prompt_projection=(transformer.caption_projection,),
                rotary=transformer.rope,
                modulation=(transformer.time_embed,),
                grid=describe_token_grid(transformer),
                gelu_projections=find_gelu_projections(*blocks),
                attention_sites=find_attention_sites(blocks, is_cross_masked=True),
                token_grid=told_grid(transformer),
                token_arguments=("hidden_states", "temb", "image_rotary_emb"),
                resize_call=None if is_from_image else resize_told_call(transformer),
                given_tokens=_given_tokens(transformer) if is_from_image else None,
            ),
        ),
        guidance="batched",
        capabilities=(VIDEO_TRANSFORMER | TOKEN_TRANSFORMER | {Capability.GIVEN_TOKENS})
        - absent.keys(),
        lacks=absent,
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


def _modulated_input(
    block: Any,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    read_hidden = argument_reader(block, "hidden_states")
    read_temb = argument_reader(block, "temb")
    return lambda args, kwargs: modulate(block, read_hidden(args, kwargs), read_temb(args, kwargs))


def _given_tokens(
    transformer: Any,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    """The tokens at timestep 0 in a call in which others are not: at its end, all would be."""
    read_timestep = argument_reader(transformer, "timestep")

    def given(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        is_clean = read_timestep(args, kwargs) == 0
        return is_clean & ~is_clean.all(1, keepdim=True)

    return given
