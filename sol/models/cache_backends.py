"""Which libraries of step caches can work on a pipeline's denoisers, and why others cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from diffusers import CacheMixin
from diffusers.hooks._helpers import TransformerBlockRegistry
from torch import nn

from sol.roles import Capability, DenoiserRoles


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
    return None


def _is_registered(block: nn.Module) -> bool:
    try:
        TransformerBlockRegistry.get(type(block))
    except ValueError:
        return False
    return True


def _why_no_dit(denoiser: DenoiserRoles) -> str | None:
    if find_spec("cache_dit") is None:
        return "cache-dit is not installed: pip install 'sol-tuner[cache]'"
    if denoiser.hidden != "hidden_states":
        return (
            f"cache-dit passes blocks their hidden states as 'hidden_states', those of "
            f"{type(denoiser.module).__name__} call them {denoiser.hidden!r}"
        )
    if not any(_is_list_of(child, denoiser.blocks) for child in denoiser.module.children()):
        return f"the blocks of {type(denoiser.module).__name__} are not one ModuleList"
    return None


def _is_list_of(child: nn.Module, blocks: Sequence[nn.Module]) -> bool:
    return isinstance(child, nn.ModuleList) and list(child) == list(blocks)
