"""The models that Sol knows by a short name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sol.models.pocket import workload as pocket
from sol.target import Workload

GENERAL_GATE = "near-lossless"


@dataclass(frozen=True)
class CatalogEntry:
    """One known model.

    Attributes:
        source: A Hub id, or the folder of a model that ships with Sol.
        workload: How its makers call it; what `sol tune` uses unless told otherwise.
        prompts: Name of the prompt set made for it in `sol.models.prompts`.
        gate: Name of the gate profile made for it.
    """

    name: str
    source: str
    workload: Workload
    prompts: str
    summary: str
    gate: str = GENERAL_GATE


POCKET_WEIGHTS = Path(__file__).parent / "pocket" / "weights"


def _describe_pocket(name: str, shape: pocket.ClipShape, summary: str) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        source=str(POCKET_WEIGHTS),
        workload=Workload(
            height=shape.height,
            width=shape.width,
            num_frames=shape.num_frames,
            steps=pocket.NUM_STEPS,
            guidance_scale=pocket.GUIDANCE_SCALE,
            frame_rate=pocket.FRAME_RATE,
            max_sequence_length=pocket.MAX_SEQUENCE_LENGTH,
        ),
        prompts="pocket",
        gate="near-lossless-pocket",
        summary=summary,
    )


POCKET = _describe_pocket(
    "pocket", pocket.SHORT, "moving shapes, 64x64, 17 frames; ships with Sol, runs on a CPU"
)
POCKET_LONG = _describe_pocket(
    "pocket-long", pocket.LONG, "the same weights at 96x96, 33 frames: 1,296 tokens"
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

# Settings and negative prompt of diffusers' own example for it.
WAN = CatalogEntry(
    name="wan",
    source="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    workload=Workload(
        height=480,
        width=832,
        num_frames=81,
        steps=50,
        guidance_scale=5.0,
        frame_rate=16,
        max_sequence_length=512,
        negative_prompt=(
            "Bright tones, overexposed, static, blurred details, subtitles, style, works, "
            "paintings, images, static, overall gray, worst quality, low quality, JPEG "
            "compression residue, ugly, incomplete, extra fingers, poorly drawn hands, poorly "
            "drawn faces, deformed, disfigured, misshapen limbs, fused fingers, still picture, "
            "messy background, three legs, many people in the background, walking backwards"
        ),
        dtype="bfloat16",
    ),
    prompts="general",
    summary="Wan 2.1 text to video, 1.3B, from the Hugging Face Hub",
)

# Settings and negative prompt of diffusers' own example for it.
SANA_VIDEO = CatalogEntry(
    name="sana-video",
    source="Efficient-Large-Model/SANA-Video_2B_480p_diffusers",
    workload=Workload(
        height=480,
        width=832,
        num_frames=81,
        steps=50,
        guidance_scale=6.0,
        frame_rate=16,
        max_sequence_length=300,
        negative_prompt=(
            "A chaotic sequence with misshapen, deformed limbs in heavy motion blur, sudden "
            "disappearance, jump cuts, jerky movements, rapid shot changes, frames out of sync, "
            "inconsistent character shapes, temporal artifacts, jitter, and ghosting effects, "
            "creating a disorienting visual experience."
        ),
        dtype="bfloat16",
    ),
    prompts="general",
    summary="SANA-Video 2B at 480p, from the Hugging Face Hub",
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType(
    {e.name: e for e in (POCKET, POCKET_LONG, LTX, WAN, SANA_VIDEO)}
)

FAMILY_WORKLOADS: Mapping[str, Workload] = MappingProxyType(
    {"ltx": LTX.workload, "wan": WAN.workload, "sana_video": SANA_VIDEO.workload}
)
"""How a model of each family is called where nothing more is known of it."""


def find_entry(model: str) -> CatalogEntry | None:
    """The entry with this short name, Hub id or folder, if Sol knows it."""
    if model in CATALOG:
        return CATALOG[model]
    return next((e for e in CATALOG.values() if e.source == model), None)


def default_gate(model: str) -> str:
    """The gate profile that fits a model best, by short name, Hub id or folder."""
    entry = find_entry(model)
    return entry.gate if entry else GENERAL_GATE
