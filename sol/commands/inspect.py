"""`sol inspect`: which techniques apply to a model on this machine, and why others do not."""

from __future__ import annotations

from typing import Any

from sol.models.families import describe_roles
from sol.models.loading import LoadedModel, load_model
from sol.models.memory.memory_estimate import HEAD_ROOM, estimate_device_bytes
from sol.roles import Capability, DenoiserRoles, Roles
from sol.skills.registry import TECHNIQUES
from sol.technique import Technique, find_obstacle


def inspect_model(
    model: str,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    offload: str | None = None,
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """Loads the model and asks every technique; see `load_model` for the arguments."""
    loaded = load_model(model, device, dtype, revision, offload=offload, allow_pickle=allow_pickle)
    roles = describe_roles(loaded.pipeline)
    return {
        "model": loaded.model.id,
        "family": loaded.model.family,
        "revision": loaded.model.revision,
        "guidance": roles.guidance,
        "denoisers": {d.name: len(d.blocks) for d in roles.denoisers},
        "weights_digest": loaded.model.weights_digest,
        "memory": describe_memory(loaded),
        "warnings": list(loaded.warnings),
        "attention": describe_attention(roles),
        "techniques": [_describe(technique, roles) for technique in TECHNIQUES.values()],
    }


def describe_memory(loaded: LoadedModel) -> dict[str, Any]:
    """Bytes as estimated before the weights were read; see `sol.models.memory.memory_estimate`."""
    return {
        "dtype": loaded.workload.dtype,
        "offload": loaded.offload,
        "weights": {part.name: part.n_bytes for part in loaded.sizes},
        "weights_bytes": sum(part.n_bytes for part in loaded.sizes),
        "device_bytes": estimate_device_bytes(loaded.sizes, loaded.offload),
        "assumed_head_room": HEAD_ROOM,
    }


def _describe(technique: Technique, roles: Roles) -> dict[str, Any]:
    obstacle = find_obstacle(technique, roles)
    return {
        "name": technique.name,
        "skill": technique.skill,
        "applies": obstacle is None,
        "reason": obstacle or technique.summary,
    }


def describe_attention(roles: Roles) -> list[dict[str, Any]]:
    """The attentions of each denoiser by kind, and why sparse attention leaves some alone."""
    return [
        {"denoiser": denoiser.name, "kind": kind, "n": n, "reason": _why(kind, roles, denoiser)}
        for denoiser in roles.denoisers
        for kind, n in (
            ("self", len(denoiser.self_attention)),
            ("cross", len(denoiser.cross_attention)),
        )
        if n
    ]


def _why(kind: str, roles: Roles, denoiser: DenoiserRoles) -> str:
    if kind == "self":
        over_grid = "softmax over the latent grid: sparse attention applies"
        return roles.lacks.get(Capability.GRID_ATTENTION, over_grid)
    masked = any(site.is_masked for site in denoiser.attention_sites if site.kind == "cross")
    over_text = "over the text, whose keys are few: left as it is"
    return f"{over_text}; called with a mask" if masked else over_text
