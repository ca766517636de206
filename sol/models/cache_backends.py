"""Which libraries of step caches can work on a pipeline's denoisers, and why others cannot."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType

from diffusers import CacheMixin
from diffusers.hooks._helpers import TransformerBlockRegistry
from torch import nn

from sol.roles import Capability, DenoiserRoles

CACHE_DIT_PATTERNS: Mapping[tuple[str, ...], str] = MappingProxyType(
    {
        ("hidden_states", "encoder_hidden_states"): "Pattern_0",
        ("encoder_hidden_states", "hidden_states"): "Pattern_1",
        ("hidden_states",): "Pattern_3",
    }
)
"""What a block maps, in the order of its answer, by cache-dit's name for it."""


def cache_backend_capabilities(
    denoisers: Sequence[DenoiserRoles],
) -> tuple[frozenset[Capability], Mapping[Capability, str]]:
    """The libraries that can cache all of these denoisers, and why the others cannot."""
    checks = {Capability.DIFFUSERS_CACHE: _why_no_diffusers, Capability.CACHE_DIT: _why_no_dit}
    lacks = {}
    for capability, why_not in checks.items():
        reasons = [reason for reason in map(why_not, denoisers) if reason is not None]
        if reasons:
            lacks[capability] = reasons[0]
    return frozenset(checks) - frozenset(lacks), lacks


def _why_no_diffusers(denoiser: DenoiserRoles) -> str | None:
    model = type(denoiser.module).__name__
    if not isinstance(denoiser.module, CacheMixin):
        return f"{model} has no enable_cache (it is not one of diffusers' CacheMixin models)"
    if len(denoiser.blocks) < 2:  # noqa: PLR2004 - a head that measures, a tail that is skipped
        return f"diffusers' caches need 2 blocks or more, {model} has {len(denoiser.blocks)}"
    for block in denoiser.blocks:
        if not _is_registered(block):
            return f"diffusers has not registered the block {type(block).__name__} for its caches"
        if _hides_text(block):
            return (
                "diffusers' caches look for the text in 'encoder_hidden_states', an argument that "
                f"the block {type(block).__name__} does not have"
            )
    return None


def _is_registered(block: nn.Module) -> bool:
    try:
        TransformerBlockRegistry.get(type(block))
    except ValueError:
        return False
    return True


def _hides_text(block: nn.Module) -> bool:
    """Whether it returns text that it was given by another name than diffusers' hooks expect."""
    returns_text = TransformerBlockRegistry.get(type(block)).return_encoder_hidden_states_index
    names = inspect.signature(block.forward).parameters
    return returns_text is not None and "encoder_hidden_states" not in names


def _why_no_dit(denoiser: DenoiserRoles) -> str | None:
    if find_spec("cache_dit") is None:
        return "cache-dit is not installed: pip install 'sol-tuner[cache]'"
    if denoiser.block_form.names not in CACHE_DIT_PATTERNS:
        return (
            "cache-dit knows blocks that map 'hidden_states', alone or with "
            f"'encoder_hidden_states'; those of {type(denoiser.module).__name__} map "
            f"{', '.join(map(repr, denoiser.block_form.names))}"
        )
    if not any(_is_list_of(child, denoiser.blocks) for child in denoiser.module.children()):
        return f"the blocks of {type(denoiser.module).__name__} are not one ModuleList"
    return None


def _is_list_of(child: nn.Module, blocks: Sequence[nn.Module]) -> bool:
    return isinstance(child, nn.ModuleList) and list(child) == list(blocks)
