"""Wan: one or two denoisers, a call for each guidance branch, text through cross-attention."""

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
)
from sol.models.adapters.published import find_teacache
from sol.models.adapters.token_grid import as_called, patched_grid
from sol.roles import Capability, DenoiserRoles, Roles
from sol.target import Workload

# Wan 2.2 has an expert for high noise and one for low noise; either may be left out.
_EXPERTS = ("transformer", "transformer_2")

_TEMB_PER_TOKEN_DIMS = 4

_FULL_TIMESTEPS = (
    "this Wan pipeline gives every token of the full grid a timestep of its own, whatever the "
    "latents are"
)

_NOTHING_GIVEN = "a WanPipeline makes the whole video: no token is given"


def describe(pipeline: Any) -> Roles:
    """Roles of a `WanPipeline`."""
    experts = ((name, getattr(pipeline, name, None)) for name in _EXPERTS)
    has_timestep_per_token = bool(pipeline.config.get("expand_timesteps", False))
    absent = {Capability.GIVEN_TOKENS: _NOTHING_GIVEN}
    if has_timestep_per_token:
        absent[Capability.COARSE_GRID] = _FULL_TIMESTEPS
    return Roles(
        family="wan",
        denoisers=tuple(
            _denoiser(name, expert, has_timestep_per_token)
            for name, expert in experts
            if expert is not None
        ),
        guidance="two_call",
        capabilities=(VIDEO_TRANSFORMER | TOKEN_TRANSFORMER) - absent.keys(),
        lacks=absent,
    )


def call_arguments(workload: Workload) -> Mapping[str, Any]:
    """Keyword arguments of `WanPipeline.__call__`; it has none for the frame rate."""
    return {
        "height": workload.height,
        "width": workload.width,
        "num_frames": workload.num_frames,
        "num_inference_steps": workload.steps,
        "guidance_scale": workload.guidance_scale,
        "negative_prompt": workload.negative_prompt,
        "max_sequence_length": workload.max_sequence_length,
    }


def _denoiser(name: str, transformer: Any, has_timestep_per_token: bool) -> DenoiserRoles:
    blocks = tuple(transformer.blocks)
    embedder = transformer.condition_embedder
    return DenoiserRoles(
        name=name,
        module=transformer,
        latents="hidden_states",
        text="encoder_hidden_states",
        blocks=blocks,
        cross_attention=tuple(describe_cross_attention(block.attn2) for block in blocks),
        feed_forward=tuple(find_linears(block.ffn) for block in blocks),
        self_projections=tuple(find_projections(block.attn1) for block in blocks),
        self_output=tuple(find_linears(block.attn1.to_out) for block in blocks),
        cross_projections=tuple(find_linears(block.attn2) for block in blocks),
        hidden="hidden_states",
        self_attention=tuple(block.attn1 for block in blocks),
        modulated_input=_modulated_input(blocks[0]),
        timestep_embedding="temb",
        published_teacache=find_teacache("wan", transformer.config),
        prompt_projection=(embedder.text_embedder,),
        rotary=transformer.rope,
        modulation=(embedder.time_embedder, embedder.time_proj),
        gelu_projections=find_gelu_projections(*blocks),
        attention_sites=find_attention_sites(blocks, is_cross_masked=False),
        token_grid=patched_grid(transformer),
        # Otherwise axis 1 of `temb` are the six modulations.
        token_arguments=("hidden_states", "rotary_emb")
        + (("temb",) if has_timestep_per_token else ()),
        resize_call=as_called,
    )


def _modulated_input(
    block: Any,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    """norm1(hidden) * (1 + scale) + shift in float32, with rows 0 and 1 of the six modulations."""
    read_hidden = argument_reader(block, "hidden_states")
    read_temb = argument_reader(block, "temb")

    def modulated(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        hidden, temb = read_hidden(args, kwargs), read_temb(args, kwargs)
        table = block.scale_shift_table
        # (batch, 6, width), or (batch, tokens, 6, width) where each token has its own timestep.
        if temb.ndim == _TEMB_PER_TOKEN_DIMS:
            six = table.unsqueeze(0) + temb.float()
            shift, scale = six[:, :, 0], six[:, :, 1]
        else:
            six = table + temb.float()
            shift, scale = six[:, 0:1], six[:, 1:2]
        result: torch.Tensor = block.norm1(hidden.float()) * (1 + scale) + shift
        return result.type_as(hidden)

    return modulated
