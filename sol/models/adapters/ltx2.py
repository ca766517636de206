"""LTX-2, LTX-2.3: one denoiser of video and sound, guidance in one batch and in calls beside it.

A block maps two streams, the tokens of the video and those of the sound, which have a width of
their own. Each attends to itself and to the text, then both to one another. In LTX-2.3 the text
is modulated by the timestep, and two more calls a step guide: one whose self-attention is
perturbed in a block (arXiv 2411.18664), one in which video and sound do not see each other.

A second stage is another call of a pipeline of the same transformer, with upsampled latents and
few steps of its own, without guidance: another video. `LTX2LatentUpsamplePipeline` between them
has no denoiser. A recipe of one stage is measured with that stage's size and steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from sol.call_form import Args, CallForm, Kwargs, streams_form
from sol.forward_arguments import argument_reader, replace_arguments
from sol.models.adapters.block_parts import (
    TOKEN_TRANSFORMER,
    VIDEO_TRANSFORMER,
    describe_cross_attention,
    find_gelu_projections,
    find_linears,
    find_projections,
    modulate,
)
from sol.models.adapters.token_grid import describe_token_grid, told_grid
from sol.roles import (
    AttentionKind,
    AttentionSite,
    Call,
    Capability,
    CrossAttention,
    DenoiserRoles,
    Roles,
)
from sol.target import Workload

_STREAMS = ("hidden_states", "audio_hidden_states")

_MODULATION = (
    "time_embed",
    "audio_time_embed",
    "av_cross_attn_video_scale_shift",
    "av_cross_attn_audio_scale_shift",
    "av_cross_attn_video_a2v_gate",
    "av_cross_attn_audio_v2a_gate",
    "prompt_adaln",
    "audio_prompt_adaln",
)
"""Modules of the timestep; the last two where the timestep modulates the text."""

_ATTENTIONS: tuple[tuple[str, AttentionKind, bool], ...] = (
    ("attn1", "self", False),
    ("audio_attn1", "other", False),
    ("attn2", "cross", True),
    ("audio_attn2", "cross", True),
    ("audio_to_video_attn", "other", False),
    ("video_to_audio_attn", "other", False),
)
"""Of a block, in order: name, kind, whether it is called with a mask."""

_TIMESTEPS = ("temb", "temb_ca_scale_shift", "temb_ca_gate")
_ROTARY = ("video_rotary_emb", "ca_video_rotary_emb")
"""Arguments of a block with a row for each token of the video, or one row for all."""

_PERTURBED_PLACE = 28 / 48
"""Of the block whose self-attention is perturbed: number 28 of the 48 of LTX-2.3."""

_NOTHING_GIVEN = "an LTX2Pipeline makes the whole video: no token is given"

_TEXT_OF_TIMESTEP = (
    "this LTX-2 modulates the text by the timestep: keys and values of the text differ from step "
    "to step"
)

_TEXT_PROJECTED_BEFORE = (
    "this LTX-2 projects the text in its connectors, once a video: the denoiser has no projection"
)


def describe(pipeline: Any) -> Roles:
    """Roles of an `LTX2Pipeline`."""
    transformer = pipeline.transformer
    absent = {Capability.GIVEN_TOKENS: _NOTHING_GIVEN}
    if _is_text_modulated(transformer):
        absent[Capability.TEXT_CROSS_ATTENTION] = _TEXT_OF_TIMESTEP
    if not transformer.config.use_prompt_embeddings:
        absent[Capability.PROMPT_PROJECTION] = _TEXT_PROJECTED_BEFORE
    return Roles(
        family="ltx2",
        denoisers=(_denoiser(transformer),),
        guidance="batched",
        capabilities=(VIDEO_TRANSFORMER | TOKEN_TRANSFORMER) - absent.keys(),
        lacks=absent,
    )


def call_arguments(workload: Workload) -> Mapping[str, Any]:
    """Keyword arguments of `LTX2Pipeline.__call__`, but for those of `own_arguments`."""
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


def own_arguments(pipeline: Any, workload: Workload) -> Mapping[str, Any]:
    """What else the makers of this version pass: all guidance beside the workload's scale.

    The pipeline's defaults are those of LTX-2.3, with a scale for the sound and two more calls a
    step. LTX-2.0 cannot be perturbed; it has one scale for video and sound. Without guidance, as
    distilled versions are called, there is none of any kind.
    """
    config = pipeline.transformer.config
    if config.perturbed_attn and workload.guidance_scale > 1.0:
        place = round(_PERTURBED_PLACE * config.num_layers)
        return {
            "stg_scale": 1.0,
            "modality_scale": 3.0,
            "guidance_rescale": 0.7,
            "spatio_temporal_guidance_blocks": [place],
        }
    return {
        "stg_scale": 0.0,
        "modality_scale": 1.0,
        "guidance_rescale": 0.0,
        "audio_guidance_scale": None,
        "audio_stg_scale": None,
        "audio_modality_scale": None,
        "audio_guidance_rescale": None,
        "spatio_temporal_guidance_blocks": None,
        "use_cross_timestep": bool(config.perturbed_attn),
    }


def _denoiser(transformer: Any) -> DenoiserRoles:
    blocks = tuple(transformer.transformer_blocks)
    projections = ("caption_projection", "audio_caption_projection")
    return DenoiserRoles(
        name="transformer",
        module=transformer,
        latents="hidden_states",
        text="encoder_hidden_states",
        blocks=blocks,
        cross_attention=_cross_attention(transformer, blocks),
        feed_forward=tuple(find_linears(block.ff, block.audio_ff) for block in blocks),
        self_projections=tuple(find_projections(block.attn1) for block in blocks),
        self_output=tuple(find_linears(block.attn1.to_out) for block in blocks),
        cross_projections=tuple(_other_attention_linears(block) for block in blocks),
        hidden="hidden_states",
        self_attention=tuple(block.attn1 for block in blocks),
        modulated_input=_modulated_input(blocks[0]),
        timestep_embedding="temb",
        prompt_projection=_present(transformer, projections),
        rotary=transformer.rope,
        modulation=_present(transformer, _MODULATION),
        grid=describe_token_grid(transformer),
        gelu_projections=find_gelu_projections(*blocks),
        attention_sites=_attention_sites(blocks),
        token_grid=told_grid(transformer),
        token_arguments=("hidden_states", *_TIMESTEPS, *_ROTARY),
        # Split tables are (batch, heads, tokens, width), the others (batch, tokens, width).
        token_axes=dict.fromkeys(_ROTARY, 2 if transformer.config.rope_type == "split" else 1),
        resize_call=_resize_call(transformer),
        own_form=_denoiser_form(transformer),
        own_block_form=streams_form(blocks[0], _STREAMS),
    )


def _is_text_modulated(transformer: Any) -> bool:
    """In LTX-2.5 the text is modulated by tables alone."""
    return bool(transformer.prompt_modulation and transformer.config.use_prompt_adaln_single)


def _present(transformer: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(transformer, name) for name in names if hasattr(transformer, name))


def _cross_attention(transformer: Any, blocks: tuple[Any, ...]) -> tuple[CrossAttention, ...]:
    """Of the video and of the sound, block by block."""
    attentions = (attention for block in blocks for attention in (block.attn2, block.audio_attn2))
    if _is_text_modulated(transformer):
        return tuple(CrossAttention(attention, ()) for attention in attentions)
    return tuple(describe_cross_attention(attention) for attention in attentions)


def _other_attention_linears(block: Any) -> tuple[Any, ...]:
    """All of the attentions but what makes query, key, value and output of the video's own."""
    own = {*find_projections(block.attn1), *find_linears(block.attn1.to_out)}
    attentions = (getattr(block, name) for name, *_ in _ATTENTIONS)
    return tuple(layer for layer in find_linears(*attentions) if layer not in own)


def _attention_sites(blocks: tuple[Any, ...]) -> tuple[AttentionSite, ...]:
    return tuple(
        AttentionSite(getattr(block, name), kind, getattr(block, name).head_dim, is_masked)
        for block in blocks
        for name, kind, is_masked in _ATTENTIONS
    )


def _modulated_input(block: Any) -> Callable[[Args, Kwargs], torch.Tensor]:
    read_hidden = argument_reader(block, "hidden_states")
    read_temb = argument_reader(block, "temb")
    return lambda args, kwargs: modulate(block, read_hidden(args, kwargs), read_temb(args, kwargs))


def _denoiser_form(transformer: Any) -> CallForm:
    """Latents of video and sound to the predictions for both."""
    streams = streams_form(transformer, _STREAMS)

    def answer(y: torch.Tensor, args: Args, kwargs: Kwargs, kind: type | None) -> Any:
        video, sound = streams.answer(y, args, kwargs, None)
        return (video, sound) if kind is None else kind(sample=video, audio_sample=sound)

    def read_answer(answer: Any) -> torch.Tensor:
        return streams.read_answer((answer[0], answer[1]))

    return CallForm(streams.read, read_answer, answer, _STREAMS)


def _resize_call(transformer: Any) -> Callable[[Call, tuple[int, int, int]], Call]:
    """Tells it other sizes of the video, over the same space and time; the sound stays."""
    read_grid = told_grid(transformer)
    read_coords = argument_reader(transformer, "video_coords")

    def resize(call: Call, sizes: tuple[int, int, int]) -> Call:
        old = read_grid(*call).sizes
        frames, height, width = sizes
        changes = {
            "num_frames": frames,
            "height": height,
            "width": width,
            "video_coords": stretch_coords(read_coords(*call), old, sizes),
        }
        return replace_arguments(transformer, *call, changes)

    return resize


def stretch_coords(
    coords: torch.Tensor, old: tuple[int, int, int], new: tuple[int, int, int]
) -> torch.Tensor:
    """The bounds of a grid's cells where the same space and time has other cells.

    Args:
        coords: (batch, 3, cells, 2): where a cell begins and ends in time, height and width.
        old: Cells along each of the three.
        new: The same of the result.
    """
    cells = torch.unflatten(coords, 2, old)
    stretched = []
    for axis in range(3):
        # All cells of a row along this axis, from where the first begins to where the last ends.
        bounds = cells[:, axis].movedim(axis + 1, 1)[:, :, 0, 0]
        edges = torch.cat([bounds[..., 0], bounds[:, -1:, 1]], dim=1)
        edges = functional.interpolate(
            edges[:, None], size=new[axis] + 1, mode="linear", align_corners=True
        )[:, 0]
        pairs = torch.stack([edges[:, :-1], edges[:, 1:]], dim=-1)
        placed = pairs[:, :, None, None].movedim(1, axis + 1)
        stretched.append(placed.expand(-1, *new, -1))
    return torch.stack(stretched, dim=1).flatten(2, 4)
