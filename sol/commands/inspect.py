"""`sol inspect`: which techniques apply to a model on this machine, and why others do not."""

from __future__ import annotations

from typing import Any

from sol.models.families import describe_roles, get_family
from sol.models.loading import load_model
from sol.roles import Capability, DenoiserRoles, Roles
from sol.skills.registry import TECHNIQUES
from sol.technique import find_obstacle


def inspect_model(
    model: str, device: str | None = None, dtype: str | None = None
) -> dict[str, Any]:
    """Loads the model and asks every technique."""
    loaded = load_model(model, device, dtype)
    roles = describe_roles(loaded.pipeline)
    rows = []
    for technique in TECHNIQUES.values():
        obstacle = find_obstacle(technique, roles)
        rows.append(
            {
                "name": technique.name,
                "skill": technique.skill,
                "applies": obstacle is None,
                "reason": obstacle or technique.summary,
            }
        )
    return {
        "model": loaded.model.id,
        "family": get_family(loaded.pipeline).name,
        "guidance": roles.guidance,
        "denoisers": {d.name: len(d.blocks) for d in roles.denoisers},
        "weights_digest": loaded.model.weights_digest,
        "attention": describe_attention(roles),
        "techniques": rows,
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
