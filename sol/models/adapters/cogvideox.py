"""CogVideoX: one denoiser, guidance in one batch, text and video in one attention.

A block maps two streams, the tokens of the video and those of the text, and returns both. The 5B
is told its positions as rotary tables, which the pipeline makes once a video; the 2B adds them to
the patches. A token of CogVideoX 1.5 is a patch of two frames besides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from sol.call_form import streams_form
from sol.forward_arguments import argument_reader
from sol.models.adapters.block_parts import find_gelu_projections, find_linears, find_projections
from sol.models.adapters.published import find_teacache
from sol.roles import (
    Capability,
    DenoiserRoles,
    LatentGrid,
    PublishedTeaCache,
    Roles,
    TokenGrid,
)
from sol.target import Workload

_CAPABILITIES = frozenset(
    {
        Capability.STEP_OUTPUT,
        Capability.BLOCK_RESIDUAL,
        Capability.MODULATED_INPUT,
        Capability.GUIDANCE_BRANCHES,
        Capability.SELF_ATTENTION,
        Capability.PROMPT_PROJECTION,
        Capability.MODULATION,
        Capability.REPEATED_BLOCKS,
        Capability.LINEAR_FEED_FORWARD,
    }
)

_LACKS: Mapping[Capability, str] = {
    Capability.TEXT_FREE_ATTENTION: (
        "the text takes part in CogVideoX's self-attention: it is another one in each guidance "
        "branch, from the first block on"
    ),
    Capability.TEXT_CROSS_ATTENTION: (
        "CogVideoX has no cross-attention: every block changes the text, and what it makes of it "
        "differs from step to step"
    ),
    Capability.GRID_ATTENTION: (
        "diffusers computes CogVideoX's attention without its dispatch, the one place where "
        "another attention could come in"
    ),
    Capability.TOKEN_SET: (
        "CogVideoX's blocks change the tokens of the text with those of the video, and tokens are "
        "left out only where the text is given"
    ),
    Capability.COARSE_GRID: (
        "CogVideoX's schedulers are none of flow matching: they have no noise level at which a "
        "coarse grid could be resampled"
    ),
    Capability.ROTARY_TABLE: (
        "a CogVideoXPipeline makes the rotary tables itself, once a video: nothing is left to save"
    ),
    Capability.GIVEN_TOKENS: "a CogVideoXPipeline makes the whole video: no token is given",
}


def describe(pipeline: Any) -> Roles:
    """Roles of a `CogVideoXPipeline`."""
    return Roles(
        family="cogvideox",
        denoisers=(_denoiser(pipeline.transformer),),
        guidance="batched",
        capabilities=_CAPABILITIES,
        lacks=_LACKS,
        is_guided=lambda pipeline: bool(pipeline.guidance_scale > 1.0),
    )


def call_arguments(workload: Workload) -> Mapping[str, Any]:
    """Keyword arguments of `CogVideoXPipeline.__call__`; it has none for the frame rate."""
    return {
        "height": workload.height,
        "width": workload.width,
        "num_frames": workload.num_frames,
        "num_inference_steps": workload.steps,
        "guidance_scale": workload.guidance_scale,
        "negative_prompt": workload.negative_prompt,
        "max_sequence_length": workload.max_sequence_length,
    }


def _denoiser(transformer: Any) -> DenoiserRoles:
    blocks = tuple(transformer.transformer_blocks)
    return DenoiserRoles(
        name="transformer",
        module=transformer,
        latents="hidden_states",
        text="encoder_hidden_states",
        blocks=blocks,
        cross_attention=(),
        feed_forward=tuple(find_linears(block.ff) for block in blocks),
        self_projections=tuple(find_projections(block.attn1) for block in blocks),
        self_output=tuple(find_linears(block.attn1.to_out) for block in blocks),
        cross_projections=((),) * len(blocks),
        hidden="hidden_states",
        self_attention=tuple(block.attn1 for block in blocks),
        modulated_input=_modulated_input(blocks[0]),
        timestep_embedding="temb",
        published_teacache=_find_teacache(transformer.config),
        prompt_projection=(transformer.patch_embed.text_proj,),
        rotary=None,
        modulation=(transformer.time_embedding,),
        grid=LatentGrid(
            lambda video, args, kwargs: video.movedim(2, 1), lambda grid: grid.movedim(1, 2)
        ),
        gelu_projections=find_gelu_projections(*blocks),
        token_grid=_token_grid(transformer),
        own_block_form=streams_form(blocks[0], ("hidden_states", "encoder_hidden_states")),
    )


def _modulated_input(
    block: Any,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    """What the video has of norm1's two streams."""
    readers = tuple(
        argument_reader(block, name) for name in ("hidden_states", "encoder_hidden_states", "temb")
    )

    def modulated(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        video: torch.Tensor = block.norm1(*(read(args, kwargs) for read in readers))[0]
        return video

    return modulated


def _token_grid(transformer: Any) -> Callable[[tuple[Any, ...], Mapping[str, Any]], TokenGrid]:
    """The grid of the blocks' first stream, from latents (batch, frames, channels, rows, columns).

    The text is a stream of its own.
    """
    read = argument_reader(transformer, "hidden_states")
    config = transformer.config
    patch_frames = config.patch_size_t or 1

    def grid(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TokenGrid:
        frames, _, height, width = read(args, kwargs).shape[1:]
        return TokenGrid(
            frames // patch_frames, height // config.patch_size, width // config.patch_size
        )

    return grid


def _find_teacache(config: Any) -> PublishedTeaCache | None:
    """The 5B and CogVideoX 1.5 are of one shape."""
    return find_teacache("cogvideox" if config.patch_size_t is None else "cogvideox_1.5", config)
