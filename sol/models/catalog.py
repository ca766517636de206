"""The models that Sol knows by a short name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml
from pydantic import TypeAdapter

from sol.models.pocket import workload as pocket
from sol.target import STRICT, Workload
from sol.validation import validate_plain

GENERAL_GATE = "near-lossless"


@dataclass(frozen=True)
class CatalogEntry:
    """One known model.

    Attributes:
        family: Name of the adapter in `sol.models.families`.
        source: A Hub id, or the folder of a model that ships with Sol.
        workload: How its makers call it; what `sol tune` uses unless told otherwise.
        prompts: Name of the prompt set made for it in `sol.models.prompts`.
        gate: Name of the gate profile made for it.
        revision: Branch of the Hub repository that has the diffusers format, if not the main one.
    """

    __pydantic_config__ = STRICT

    name: str
    family: str
    source: str
    workload: Workload
    summary: str
    prompts: str = "general"
    gate: str = GENERAL_GATE
    revision: str | None = None


POCKET_WEIGHTS = Path(__file__).parent / "pocket" / "weights"


def _describe_pocket(name: str, shape: pocket.ClipShape, summary: str) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        family="ltx",
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


def _read_published() -> tuple[CatalogEntry, ...]:
    text = Path(__file__).with_name("catalog.yaml").read_text(encoding="utf-8")
    return validate_plain(TypeAdapter(tuple[CatalogEntry, ...]), yaml.safe_load(text))


_POCKET = _describe_pocket(
    "pocket", pocket.SHORT, "moving shapes, 64x64, 17 frames; ships with Sol, runs on a CPU"
)
_POCKET_LONG = _describe_pocket(
    "pocket-long", pocket.LONG, "the same weights at 96x96, 33 frames: 1,296 tokens"
)
_PUBLISHED = _read_published()

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType(
    {entry.name: entry for entry in (_POCKET, _POCKET_LONG, *_PUBLISHED)}
)

ALIASES: Mapping[str, str] = MappingProxyType({"wan": "wan-1.3b"})
"""Short names that mean another."""

FAMILY_WORKLOADS: Mapping[str, Workload] = MappingProxyType(
    # Reversed: the first of a family stays.
    {entry.family: entry.workload for entry in reversed(_PUBLISHED)}
)
"""How a model of each family is called where nothing more is known of it."""

MODULAR_ONLY = (
    "diffusers has it as blocks of a modular pipeline and not as a DiffusionPipeline, and Sol "
    "tunes the latter"
)

NOT_LOADABLE: Mapping[str, str] = MappingProxyType(
    {"minimax-h3": MODULAR_ONLY, "MiniMaxAI/MiniMax-H3": MODULAR_ONLY}
)
"""Models that people ask for and that Sol cannot load, with the reason."""


def split_revision(model: str) -> tuple[str, str | None]:
    """("org/name", "v1") of "org/name@v1"; a folder's name is left whole."""
    if Path(model).exists():
        return model, None
    name, _, revision = model.partition("@")
    return name, revision or None


def find_entry(model: str) -> CatalogEntry | None:
    """The entry with this short name, Hub id or folder, of any revision, if Sol knows it."""
    name, _ = split_revision(model)
    name = ALIASES.get(name, name)
    if name in CATALOG:
        return CATALOG[name]
    return next((e for e in CATALOG.values() if e.source == name), None)


def default_gate(model: str) -> str:
    """The gate profile that fits a model best, by short name, Hub id or folder."""
    entry = find_entry(model)
    return entry.gate if entry else GENERAL_GATE
