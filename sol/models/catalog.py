"""The models that Sol knows by a short name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sol.models.pocket import workload as pocket
from sol.target import Workload


@dataclass(frozen=True)
class CatalogEntry:
    """One known model.

    Attributes:
        source: A Hub id, or the folder of a model that ships with Sol.
        workload: How its makers call it; what `sol tune` uses unless told otherwise.
        prompts: Name of the prompt set made for it in `sol.prompts`.
    """

    name: str
    source: str
    workload: Workload
    prompts: str
    summary: str


POCKET_WEIGHTS = Path(__file__).parent / "pocket" / "weights"

POCKET = CatalogEntry(
    name="pocket",
    source=str(POCKET_WEIGHTS),
    workload=Workload(
        height=pocket.HEIGHT,
        width=pocket.WIDTH,
        num_frames=pocket.NUM_FRAMES,
        steps=pocket.NUM_STEPS,
        guidance_scale=pocket.GUIDANCE_SCALE,
        frame_rate=pocket.FRAME_RATE,
        max_sequence_length=pocket.MAX_SEQUENCE_LENGTH,
    ),
    prompts="pocket",
    summary="moving shapes, 64x64, ships with Sol; runs on a CPU",
)

# Workload of the model card: 768x512 and 161 frames at 24 Hz, 50 steps.
LTX = CatalogEntry(
    name="ltx",
    source="Lightricks/LTX-Video",
    workload=Workload(
        height=512,
        width=768,
        num_frames=161,
        steps=50,
        guidance_scale=3.0,
        frame_rate=24,
        max_sequence_length=128,
        negative_prompt="worst quality, inconsistent motion, blurry, jittery, distorted",
        dtype="bfloat16",
    ),
    prompts="general",
    summary="LTX-Video from the Hugging Face Hub",
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({e.name: e for e in (POCKET, LTX)})


def find_entry(model: str) -> CatalogEntry | None:
    """The entry with this short name, Hub id or folder, if Sol knows it."""
    if model in CATALOG:
        return CATALOG[model]
    return next((e for e in CATALOG.values() if e.source == model), None)
