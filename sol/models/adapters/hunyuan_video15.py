"""HunyuanVideo 1.5: one denoiser, a call for each guidance branch, text in the self-attention.

The tokens of the text come from three sources: the prompt, what it quotes, and an image, of which
there is none. They are as many for every prompt, and a mask hides those that say nothing. The
latents come with those of an image and a mask, all zero too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional as F

from sol.attach import set_attribute, undo_all
from sol.call_form import CallForm, streams_form
from sol.forward_arguments import argument_reader, replace_arguments
from sol.models.adapters.block_parts import find_gelu_projections, find_linears, find_projections
from sol.models.adapters.token_grid import patched_grid
from sol.roles import AttentionSite, Call, Capability, DenoiserRoles, Roles
from sol.target import Workload

_LACKS: Mapping[Capability, str] = {
    Capability.TEXT_FREE_ATTENTION: (
        "the text takes part in HunyuanVideo 1.5's self-attention: it is another one in each "
        "guidance branch, from the first block on"
    ),
    Capability.TEXT_CROSS_ATTENTION: (
        "HunyuanVideo 1.5 has no cross-attention: every block changes the text, and what it makes "
        "of it differs from step to step"
    ),
    Capability.GRID_ATTENTION: (
        "HunyuanVideo 1.5's attention always has a mask over the text, and those that leave out "
        "blocks of the grid know none"
    ),
    Capability.TOKEN_SET: (
        "HunyuanVideo 1.5's blocks change the tokens of the text with those of the video, and "
        "tokens are left out only where the text is given"
    ),
    Capability.PROMPT_PROJECTION: (
        "HunyuanVideo 1.5 refines its prompt by the timestep, anew at every step"
    ),
    Capability.GIVEN_TOKENS: "a HunyuanVideo15Pipeline makes the whole video: no token is given",
}
_CAPABILITIES = frozenset(
    {
        Capability.STEP_OUTPUT,
        Capability.BLOCK_RESIDUAL,
        Capability.MODULATED_INPUT,
        Capability.GUIDANCE_BRANCHES,
        Capability.SELF_ATTENTION,
        Capability.COARSE_GRID,
        Capability.ROTARY_TABLE,
        Capability.MODULATION,
        Capability.REPEATED_BLOCKS,
        Capability.LINEAR_FEED_FORWARD,
    }
)


def describe(pipeline: Any) -> Roles:
    """Roles of a `HunyuanVideo15Pipeline`."""
    return Roles(
        family="hunyuan_video15",
        denoisers=(_denoiser(pipeline.transformer),),
        guidance="two_call",
        capabilities=_CAPABILITIES,
        lacks=_LACKS,
        is_guided=lambda pipeline: bool(pipeline.guider.num_conditions > 1),
    )


def call_arguments(workload: Workload) -> Mapping[str, Any]:
    """Keyword arguments of `HunyuanVideo15Pipeline.__call__`; none for the frame rate.

    It makes as many empty negative prompts as it needs, but takes one that is not empty for the
    whole batch.
    """
    return {
        "height": workload.height,
        "width": workload.width,
        "num_frames": workload.num_frames,
        "num_inference_steps": workload.steps,
        "negative_prompt": workload.negative_prompt or None,
    }


def prepare(pipeline: Any, workload: Workload) -> Callable[[], None]:
    """Sets the guidance scale and the length of the text, which are the pipeline's own."""
    # Not its `new`, which warns each time that guiders are experimental.
    guider = copy.copy(pipeline.guider)
    guider.guidance_scale = workload.guidance_scale
    if workload.guidance_scale > 1.0:
        guider.enable()
    else:
        guider.disable()
    undos = [
        set_attribute(pipeline, "guider", guider),
        set_attribute(pipeline, "tokenizer_max_length", workload.max_sequence_length),
    ]
    return lambda: undo_all(undos)


def _denoiser(transformer: Any) -> DenoiserRoles:
    blocks = tuple(transformer.transformer_blocks)
    return DenoiserRoles(
        name="transformer",
        module=transformer,
        latents="hidden_states",
        text="encoder_hidden_states",
        blocks=blocks,
        cross_attention=(),
        feed_forward=tuple(find_linears(block.ff, block.ff_context) for block in blocks),
        self_projections=tuple(find_projections(block.attn) for block in blocks),
        self_output=tuple(find_linears(block.attn.to_out) for block in blocks),
        cross_projections=tuple(_text_projections(block.attn) for block in blocks),
        hidden="hidden_states",
        self_attention=tuple(block.attn for block in blocks),
        modulated_input=_modulated_input(blocks[0]),
        timestep_embedding="temb",
        prompt_projection=(),
        rotary=transformer.rope,
        modulation=(transformer.time_embed,),
        gelu_projections=find_gelu_projections(*blocks),
        attention_sites=tuple(_attention_site(block.attn) for block in blocks),
        token_grid=patched_grid(transformer, _patch(transformer)),
        resize_call=_resize_call(transformer),
        own_form=_denoiser_form(transformer),
        own_block_form=streams_form(blocks[0], ("hidden_states", "encoder_hidden_states")),
    )


def _patch(transformer: Any) -> tuple[int, int, int]:
    config = transformer.config
    return config.patch_size_t, config.patch_size, config.patch_size


def _text_projections(attention: Any) -> tuple[Any, ...]:
    return (
        attention.add_q_proj,
        attention.add_k_proj,
        attention.add_v_proj,
        attention.to_add_out,
    )


def _attention_site(attention: Any) -> AttentionSite:
    head_dim = attention.inner_dim // attention.heads
    return AttentionSite(attention, "self", head_dim, is_masked=True)


def _modulated_input(
    block: Any,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    read_hidden = argument_reader(block, "hidden_states")
    read_temb = argument_reader(block, "temb")

    def modulated(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        hidden, temb = read_hidden(args, kwargs), read_temb(args, kwargs)
        result: torch.Tensor = block.norm1(hidden, emb=temb)[0]
        return result

    return modulated


def _denoiser_form(transformer: Any) -> CallForm:
    """The latents are the first channels of what it is given."""
    read = argument_reader(transformer, "hidden_states")
    n_channels = transformer.config.out_channels
    return CallForm(
        lambda args, kwargs: read(args, kwargs)[:, :n_channels],
        lambda answer: answer[0],
        lambda y, args, kwargs, kind: (y,) if kind is None else kind(sample=y),
        ("hidden_states",),
    )


def _resize_call(transformer: Any) -> Callable[[Call, tuple[int, int, int]], Call]:
    """All channels on another grid; positions are counted from the corner of the latents."""
    read, patch = argument_reader(transformer, "hidden_states"), _patch(transformer)

    def resize(call: Call, sizes: tuple[int, int, int]) -> Call:
        latent_sizes = [n * size for n, size in zip(sizes, patch, strict=True)]
        resized = F.interpolate(read(*call), latent_sizes, mode="nearest")
        return replace_arguments(transformer, *call, {"hidden_states": resized})

    return resize
