"""A small Wan pipeline, which calls its denoiser for each guidance branch, and its roles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

from sol.clock import Clock
from sol.models.cache_backends import cache_backend_capabilities
from sol.roles import CrossAttention, DenoiserRoles, Roles
from sol.runtime.ticker import start_ticking
from sol.schedule import Schedule
from sol.skills.registry import get_technique
from sol.technique import parse_config

N_STEPS = 8


def build_two_call() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=4,
            out_channels=4,
            text_dim=8,
            freq_dim=16,
            ffn_dim=32,
            num_layers=4,
            rope_max_seq_len=32,
        ).eval()
    pipeline = WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=None,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        transformer=transformer,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def two_call_roles(pipeline: Any) -> Roles:
    transformer = pipeline.transformer
    blocks = tuple(transformer.blocks)
    denoiser = DenoiserRoles(
        name="transformer",
        module=transformer,
        latents="hidden_states",
        text="encoder_hidden_states",
        blocks=blocks,
        cross_attention=tuple(CrossAttention(block.attn2, ()) for block in blocks),
        feed_forward=(),
        attention_projections=(),
        hidden="hidden_states",
        self_attention=tuple(block.attn1 for block in blocks),
        modulated_input=None,
        prompt_projection=(),
        rotary=None,
        modulation=(),
    )
    present, lacks = cache_backend_capabilities((denoiser,))
    return Roles("two_call", (denoiser,), "two_call", present, lacks)


def make(
    pipeline: Any,
    seed: int = 0,
    guidance: float = 5.0,
    on_step: Callable[[int], None] = lambda step: None,
) -> torch.Tensor:
    """The final latents of one video."""

    def after_step(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(step)
        return tensors

    text = torch.randn(2, 1, 5, 8, generator=torch.Generator().manual_seed(seed))
    return pipeline(
        prompt_embeds=text[0],
        negative_prompt_embeds=text[1],
        height=32,
        width=32,
        num_frames=5,
        num_inference_steps=N_STEPS,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(seed),
        output_type="latent",
        callback_on_step_end=after_step,
    ).frames


@contextmanager
def installed(pipeline: Any, name: str, config: dict[str, Any]):
    """The technique at work, as `install_stack` puts it on a pipeline that has an adapter."""
    technique, clock, roles = get_technique(name), Clock(), two_call_roles(pipeline)
    stop = start_ticking(pipeline, (pipeline.transformer,), clock)
    item = technique.install(roles, parse_config(technique, config), Schedule(), clock)
    try:
        yield item
    finally:
        item.undo()
        stop()
