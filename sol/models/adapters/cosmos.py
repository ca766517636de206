"""Cosmos Predict 2.5: one denoiser, a call for each guidance branch, text through cross-attention.

The pipeline also goes on from an image or a video, whose latents then are given: a mask says
which, and each frame has a timestep of its own. Sol calls it with a prompt alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional as F

from sol.forward_arguments import argument_reader, replace_arguments
from sol.models.adapters.block_parts import (
    VIDEO_TRANSFORMER,
    describe_cross_attention,
    find_gelu_projections,
    find_linears,
    find_projections,
)
from sol.models.adapters.token_grid import patched_grid
from sol.roles import Call, Capability, DenoiserRoles, Roles
from sol.target import Workload

_LACKS: Mapping[Capability, str] = {
    Capability.GRID_ATTENTION: (
        "diffusers' processors of Cosmos's attentions have no back-end to set: no other attention "
        "can take their place"
    ),
    Capability.TOKEN_SET: (
        "Cosmos's blocks take one rotary table for a whole batch: its videos could not leave out "
        "different tokens"
    ),
    Capability.GIVEN_TOKENS: (
        "Sol calls a Cosmos2_5_PredictBasePipeline with a prompt alone: no token is given"
    ),
}

_NO_PROJECTION = "this Cosmos denoiser gives the text to its blocks as the text encoder made it"


def describe(pipeline: Any) -> Roles:
    """Roles of a `Cosmos2_5_PredictBasePipeline`."""
    transformer = pipeline.transformer
    absent = dict(_LACKS)
    if not transformer.config.use_crossattn_projection:
        absent[Capability.PROMPT_PROJECTION] = _NO_PROJECTION
    return Roles(
        family="cosmos",
        denoisers=(_denoiser(transformer),),
        guidance="two_call",
        capabilities=(VIDEO_TRANSFORMER | {Capability.LINEAR_FEED_FORWARD}) - absent.keys(),
        lacks=absent,
        guidance_weight=_guidance_weight,
    )


def call_arguments(workload: Workload) -> Mapping[str, Any]:
    """Keyword arguments of `Cosmos2_5_PredictBasePipeline.__call__`; none for the frame rate."""
    return {
        "height": workload.height,
        "width": workload.width,
        "num_frames": workload.num_frames,
        "num_inference_steps": workload.steps,
        "guidance_scale": workload.guidance_scale,
        "negative_prompt": workload.negative_prompt,
        "max_sequence_length": workload.max_sequence_length,
    }


def _guidance_weight(scale: float) -> float:
    """The pipeline takes v_c + scale * (v_c - v_u); v_c alone where the scale is 1 or less."""
    return 1.0 + scale if scale > 1.0 else 1.0


def _denoiser(transformer: Any) -> DenoiserRoles:
    blocks = tuple(transformer.transformer_blocks)
    has_projection = transformer.config.use_crossattn_projection
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
        timestep_embedding="temb",
        prompt_projection=(transformer.crossattn_proj,) if has_projection else (),
        rotary=transformer.rope,
        # Not `time_embed` itself: it is given the hidden states as well, for their dtype.
        modulation=(transformer.time_embed.t_embedder, transformer.time_embed.norm),
        gelu_projections=find_gelu_projections(*blocks),
        token_grid=patched_grid(transformer),
        resize_call=_resize_call(transformer),
    )


def _modulated_input(
    block: Any,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    """norm1 of the hidden states, with learned positions where the denoiser has them."""
    read_hidden, read_positions, read_embedding, read_temb = (
        argument_reader(block, name)
        for name in ("hidden_states", "extra_pos_emb", "embedded_timestep", "temb")
    )

    def modulated(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        hidden, positions = read_hidden(args, kwargs), read_positions(args, kwargs)
        placed = hidden if positions is None else hidden + positions
        result: torch.Tensor = block.norm1(
            placed, read_embedding(args, kwargs), read_temb(args, kwargs)
        )[0]
        return result

    return modulated


def _resize_call(transformer: Any) -> Callable[[Call, tuple[int, int, int]], Call]:
    """The mask of what is given, and the timesteps of the frames, for another grid.

    Positions are counted from the corner of the latents.
    """
    read_mask = argument_reader(transformer, "condition_mask")
    read_timestep = argument_reader(transformer, "timestep")

    def resize(call: Call, sizes: tuple[int, int, int]) -> Call:
        args, kwargs = call
        mask, timestep = read_mask(args, kwargs), read_timestep(args, kwargs)
        changes = {"condition_mask": F.interpolate(mask, sizes, mode="nearest")}
        # Otherwise it is one for all frames.
        if timestep.ndim == mask.ndim:
            changes["timestep"] = F.interpolate(timestep, (sizes[0], 1, 1), mode="nearest")
        return replace_arguments(transformer, args, kwargs, changes)

    return resize
