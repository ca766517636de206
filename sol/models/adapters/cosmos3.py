"""Cosmos 3: one denoiser that reads the words itself, a call for each guidance branch.

Text and video are packed into one sequence without a batch axis. A block maps two streams: the
text, which sees itself alone, and the video, which sees both. The timestep is added to the tokens
of the video before the first block. Sound and actions, where there are any, follow the video.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from sol.call_form import CallForm, streams_form
from sol.forward_arguments import argument_reader, tensors_in
from sol.models.adapters.block_parts import find_linears
from sol.roles import (
    AttentionSite,
    Capability,
    DenoiserRoles,
    LatentGrid,
    Roles,
    TokenGrid,
)
from sol.target import Workload

_CAPABILITIES = frozenset(
    {
        Capability.STEP_OUTPUT,
        Capability.BLOCK_RESIDUAL,
        Capability.GUIDANCE_BRANCHES,
        Capability.SELF_ATTENTION,
        Capability.MODULATION,
        Capability.REPEATED_BLOCKS,
        Capability.LINEAR_FEED_FORWARD,
    }
)

_LACKS: Mapping[Capability, str] = {
    Capability.MODULATED_INPUT: (
        "Cosmos 3 modulates nothing by the timestep: it is added to the tokens before the first "
        "block"
    ),
    Capability.TEXT_FREE_ATTENTION: (
        "the video attends to the text in Cosmos 3's self-attention: it is another one in each "
        "guidance branch"
    ),
    Capability.TEXT_CROSS_ATTENTION: (
        "Cosmos 3 has no cross-attention: text and video meet in one attention"
    ),
    Capability.GRID_ATTENTION: (
        "Cosmos 3's queries share keys in groups, and those of the video attend to the text as "
        "well: sparse attention here knows neither"
    ),
    Capability.TOKEN_SET: (
        "Cosmos 3 packs text and video into one sequence without a batch axis: tokens are left "
        "out only where they lie along one"
    ),
    Capability.COARSE_GRID: (
        "a call of Cosmos 3 says the place and the position of every token of the full grid"
    ),
    Capability.PROMPT_PROJECTION: (
        "Cosmos 3 looks the words up in a table: there is no projection of the text"
    ),
    Capability.ROTARY_TABLE: (
        "Cosmos 3 makes its rotary table from positions that follow the text: it differs from "
        "prompt to prompt, not with the shape of the latents alone"
    ),
    Capability.GIVEN_TOKENS: (
        "Sol calls a Cosmos3OmniPipeline with a prompt alone: no token is given"
    ),
    Capability.AUTOCAST: (
        "Cosmos 3 adds the timestep to its tokens in place, and under autocast they are of "
        "different precisions"
    ),
}

_STREAMS = ("und_seq", "gen_seq")
_INPUTS = ("vision_tokens", "sound_tokens", "action_tokens")
_RECORD = ("sample", "sound", "action")

Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]


def describe(pipeline: Any) -> Roles:
    """Roles of a `Cosmos3OmniPipeline`."""
    return Roles(
        family="cosmos3",
        denoisers=(_denoiser(pipeline.transformer),),
        guidance="two_call",
        capabilities=_CAPABILITIES,
        lacks=_LACKS,
    )


def call_arguments(workload: Workload) -> Mapping[str, Any]:
    """Keyword arguments of `Cosmos3OmniPipeline.__call__`; it cuts no prompt."""
    return {
        "height": workload.height,
        "width": workload.width,
        "num_frames": workload.num_frames,
        "fps": workload.frame_rate,
        "num_inference_steps": workload.steps,
        "guidance_scale": workload.guidance_scale,
        "negative_prompt": workload.negative_prompt,
    }


def _denoiser(transformer: Any) -> DenoiserRoles:
    blocks = tuple(transformer.layers)
    attentions = tuple(block.self_attn for block in blocks)
    return DenoiserRoles(
        name="transformer",
        module=transformer,
        latents="vision_tokens",
        text="input_ids",
        blocks=blocks,
        cross_attention=(),
        feed_forward=tuple(find_linears(block.mlp_moe_gen, block.mlp) for block in blocks),
        self_projections=tuple((a.add_q_proj, a.add_k_proj, a.add_v_proj) for a in attentions),
        self_output=tuple((a.to_add_out,) for a in attentions),
        # Of the text.
        cross_projections=tuple((a.to_q, a.to_k, a.to_v, a.to_out) for a in attentions),
        hidden="gen_seq",
        self_attention=attentions,
        modulated_input=None,
        timestep_embedding=None,
        prompt_projection=(),
        rotary=None,
        modulation=(transformer.time_embedder,),
        # The scheduler is given one more axis in front.
        grid=LatentGrid(
            lambda video, args, kwargs: video.reshape(-1, *video.shape[-4:]), lambda grid: grid
        ),
        # One call for the text, one for the video.
        attention_sites=tuple(
            AttentionSite(a, "other", a.head_dim, is_masked=False)
            for a in attentions
            for _ in range(2)
        ),
        token_grid=_token_grid(transformer),
        read_prediction=lambda answer: _modalities(answer)[0][0][None],
        own_form=_denoiser_form(transformer),
        own_block_form=_block_form(blocks[0]),
    )


def _token_grid(transformer: Any) -> Callable[[Args, Kwargs], TokenGrid]:
    """The grid of the video: the text is a stream of its own."""
    read_shapes: Callable[..., Any] = argument_reader(transformer, "vision_token_shapes")
    return lambda args, kwargs: TokenGrid(*read_shapes(args, kwargs)[0])


def _block_form(block: Any) -> CallForm:
    """Text and video one after the other, with a batch axis in front."""
    packed = streams_form(block, _STREAMS, token_axis=0)
    return CallForm(
        lambda args, kwargs: packed.read(args, kwargs)[None],
        lambda answer: packed.read_answer(answer)[None],
        lambda y, args, kwargs, kind: packed.answer(y[0], args, kwargs, kind),
        packed.names,
    )


def _denoiser_form(transformer: Any) -> CallForm:
    """The video's latents to the prediction for them; with sound or actions, all in one row."""
    readers: tuple[Callable[..., Any], ...] = tuple(
        _optional_reader(transformer, name) for name in _INPUTS
    )

    def inputs(args: Args, kwargs: Kwargs) -> tuple[Any, ...]:
        return tuple(read(args, kwargs) for read in readers)

    def answer(y: torch.Tensor, args: Args, kwargs: Kwargs, kind: type | None) -> Any:
        parts = _split(y, inputs(args, kwargs))
        return parts if kind is None else kind(**dict(zip(_RECORD, parts, strict=True)))

    return CallForm(
        lambda args, kwargs: _join(inputs(args, kwargs)),
        lambda answer: _join(_modalities(answer)),
        answer,
        # Sol's own calls ask for the video alone.
        _INPUTS[:1],
    )


def _optional_reader(transformer: Any, name: str) -> Callable[[Args, Kwargs], Any]:
    """None where the call leaves the argument out."""
    read = argument_reader(transformer, name)

    def read_or_none(args: Args, kwargs: Kwargs) -> Any:
        try:
            return read(args, kwargs)
        except IndexError:
            return None

    return read_or_none


def _modalities(answer: Any) -> tuple[Any, ...]:
    """Of the video, the sound and the actions: a list each, or None."""
    return answer if isinstance(answer, tuple) else tuple(answer.get(name) for name in _RECORD)


def _join(modalities: tuple[Any, ...]) -> torch.Tensor:
    tensors = list(tensors_in(modalities))
    if len(tensors) == 1:
        return tensors[0]
    return torch.cat([tensor.flatten() for tensor in tensors])[None]


def _split(joined: torch.Tensor, like: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same values as lists of tensors of the shapes of `like`, None where that is None."""
    shapes = [tensor.shape for tensor in tensors_in(like)]
    flat = iter(torch.split(joined.flatten(), [math.prod(shape) for shape in shapes]))
    return tuple(
        None if tensors is None else [next(flat).reshape(tensor.shape) for tensor in tensors]
        for tensors in like
    )
