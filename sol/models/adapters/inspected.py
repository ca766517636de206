"""A pipeline that no adapter was written for, described by what can be seen of it.

Seen are the pipeline's call (its arguments, and how often a step calls the denoiser) and the
denoiser's repeated blocks and linear layers. So only techniques are offered that need no more than
that, and each must first show on this pipeline that it changes nothing when it is off (see
`sol.runtime.proof`).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from sol.errors import NotApplicableError
from sol.models.adapters.block_parts import find_linears
from sol.models.adapters.seen_call import DENOISER, TWO_CALLS, SeenCall, see_call
from sol.roles import Capability, DenoiserRoles, Guidance, Roles, TokenGrid
from sol.target import Workload

_LATENTS, _TEXT = "hidden_states", "encoder_hidden_states"

_UNSEEN = "Sol has no adapter for this pipeline, and this cannot be seen from outside"
_SEEN = frozenset({Capability.STEP_OUTPUT, Capability.REPEATED_BLOCKS})
_BY_OTHERS = frozenset(
    {
        Capability.CUDA, Capability.INDUCTOR, Capability.INT8_DYNAMIC_CPU, Capability.INT8_VNNI,
        Capability.PACKED_LINEAR_CPU, Capability.ATTENTION_BACKENDS, Capability.TORCHAO,
        Capability.INT8_TORCHAO, Capability.FP8_TORCHAO, Capability.INT4_TORCHAO,
        Capability.NVFP4_TORCHAO, Capability.BFLOAT16, Capability.AUTOCAST,
        Capability.DIFFUSERS_CACHE, Capability.CACHE_DIT,
    }
)  # fmt: skip
"""What the machine and the libraries say for themselves."""


def describe(pipeline: Any) -> Roles:
    """Roles of a pipeline with a transformer of repeated blocks.

    Raises:
        NotApplicableError: See `see_call`; or there are no repeated blocks.
    """
    seen, module = see_call(type(pipeline)), getattr(pipeline, DENOISER)
    blocks = _find_blocks(module)
    absent = set(Capability) - _SEEN - _BY_OTHERS
    feed_forward = tuple(_feed_forward_of(block) for block in blocks)
    if all(feed_forward):
        absent.remove(Capability.LINEAR_FEED_FORWARD)
    return Roles(
        family=type(pipeline).__name__,
        denoisers=(_denoiser(module, blocks, feed_forward),),
        guidance=_guidance(seen),
        capabilities=frozenset(set(Capability) - absent - _BY_OTHERS),
        lacks=dict.fromkeys(absent, _UNSEEN),
        is_guided=_is_guided,
        names_branches=seen.names_branches,
        is_inspected=True,
    )


def default_workload(pipeline_class: type[Any]) -> Workload:
    """The pipeline's own default values.

    Raises:
        NotApplicableError: See `see_call`; or it leaves a size open.
    """
    seen = see_call(pipeline_class)
    given = seen.arguments
    sizes = {name: given.get(name) for name in ("height", "width", seen.frames or "")}
    open_sizes = [name for name, value in sizes.items() if not isinstance(value, int)]
    if open_sizes:
        raise NotApplicableError(
            f"{pipeline_class.__name__} has no default for {', '.join(open_sizes)}, and Sol has "
            "no adapter that knows one: write one in sol/models/adapters."
        )
    return Workload(
        height=given["height"],
        width=given["width"],
        num_frames=given[seen.frames or ""],
        steps=int(given.get("num_inference_steps", 50)),
        guidance_scale=float(given.get("guidance_scale", 1.0)),
        frame_rate=int(given.get("frame_rate") or 16),
        max_sequence_length=int(given.get("max_sequence_length") or 256),
        dtype="bfloat16",
    )


def call_arguments(pipeline_class: type[Any], workload: Workload) -> Mapping[str, Any]:
    """Those of the workload's values that the pipeline's call has an argument for."""
    seen = see_call(pipeline_class)
    values = {
        "height": workload.height,
        "width": workload.width,
        seen.frames: workload.num_frames,
        "frame_rate": workload.frame_rate,
        "num_inference_steps": workload.steps,
        "guidance_scale": workload.guidance_scale,
        "negative_prompt": workload.negative_prompt,
        "max_sequence_length": workload.max_sequence_length,
    }
    return {str(name): value for name, value in values.items() if name in seen.arguments}


def _guidance(seen: SeenCall) -> Guidance:
    return "two_call" if seen.n_denoiser_calls == TWO_CALLS else "batched"


def _is_guided(pipeline: Any) -> bool:
    if hasattr(pipeline, "do_classifier_free_guidance"):
        return bool(pipeline.do_classifier_free_guidance)
    return bool(getattr(pipeline, "guidance_scale", 1.0) > 1.0)


def _denoiser(
    module: Any, blocks: tuple[nn.Module, ...], feed_forward: tuple[tuple[nn.Module, ...], ...]
) -> DenoiserRoles:
    nothing: tuple[tuple[nn.Module, ...], ...] = tuple(() for _ in blocks)
    return DenoiserRoles(
        name=DENOISER,
        module=module,
        latents=_LATENTS,
        text=_TEXT,
        blocks=blocks,
        cross_attention=(),
        feed_forward=feed_forward,
        self_projections=nothing,
        self_output=nothing,
        cross_projections=nothing,
        hidden="hidden_states",
        self_attention=(),
        modulated_input=None,
        timestep_embedding="",
        prompt_projection=(),
        rotary=None,
        modulation=(),
        token_grid=_unknown_grid,
    )


def _unknown_grid(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TokenGrid:
    raise NotApplicableError(f"How the tokens lie on the latent grid: {_UNSEEN}.")


def _find_blocks(module: nn.Module) -> tuple[nn.Module, ...]:
    """The longest list of modules of one class.

    Raises:
        NotApplicableError: There is none, or the denoiser is called in another way than others.
    """
    name = type(module).__name__
    if _LATENTS not in inspect.signature(module.forward).parameters:
        raise NotApplicableError(f"{name} has no argument {_LATENTS!r}: it needs an adapter.")
    lists = [tuple(child) for child in module.children() if isinstance(child, nn.ModuleList)]
    alike = [blocks for blocks in lists if len(blocks) > 1 and len(set(map(type, blocks))) == 1]
    if not alike:
        raise NotApplicableError(f"{name} has no list of repeated blocks: it needs an adapter.")
    return max(alike, key=len)


def _feed_forward_of(block: nn.Module) -> tuple[nn.Module, ...]:
    children: Iterator[tuple[str, nn.Module]] = block.named_children()
    return find_linears(*(child for name, child in children if name.startswith(("ff", "mlp"))))
