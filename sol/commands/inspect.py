"""`sol inspect`: which techniques apply to a model on this machine, and why others do not."""

from __future__ import annotations

from typing import Any

from sol.models.families import describe_roles, get_family
from sol.models.loading import load_model
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
        "techniques": rows,
    }
