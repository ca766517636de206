"""Which linear layers to quantise: kinds of layers, and the blocks in which they stand.

Written as it stands in a recipe: "feed_forward=all; qkv=0-3,6", with the ranges of a schedule, or
"all" for every layer inside of blocks.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from sol.errors import ConfigError
from sol.roles import DenoiserRoles
from sol.schedule import format_range, parse_range

BLOCK_KINDS = ("feed_forward", "qkv", "out", "cross")
"""Kinds of linear layers that every block has: feed-forward; query, key and value of the
self-attention; its output; all around the cross-attention."""

OUTSIDE = "outside"
"""Embedders, modulation and the final layer: small, and every error in them reaches everything."""

_EXAMPLE = "Write 'all', or for example 'feed_forward=all; qkv=0-3'."

Placement = Mapping[str, str]


def parse_placement(text: str) -> Placement:
    """Ranges of blocks by kind of layer.

    Raises:
        ConfigError: The text is no placement, or names an unknown kind or one of them twice.
    """
    if text.strip() == "all":
        return dict.fromkeys(BLOCK_KINDS, "all")
    ranges: dict[str, str] = {}
    for part in text.split(";"):
        kind, equals, blocks = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ConfigError(f"{text!r} is no placement: {part.strip()!r} has no '='. {_EXAMPLE}")
        if kind not in (*BLOCK_KINDS, OUTSIDE):
            known = ", ".join((*BLOCK_KINDS, OUTSIDE))
            raise ConfigError(f"{text!r} names the kind {kind!r}. Known: {known}. {_EXAMPLE}")
        if kind in ranges:
            raise ConfigError(f"{text!r} names {kind} twice: join its ranges with a comma.")
        ranges[kind] = blocks
    if ranges.get(OUTSIDE, "none") not in ("all", "none"):
        raise ConfigError(f"{text!r}: what is outside of blocks is 'all' or 'none'.")
    return ranges


def format_placement(blocks: Mapping[str, frozenset[int]], n_blocks: int) -> str:
    """The text that `parse_placement` reads back; kinds without a block are left out."""
    parts = [
        f"{kind}={'all' if len(blocks[kind]) == n_blocks else format_range(blocks[kind])}"
        for kind in BLOCK_KINDS
        if blocks.get(kind)
    ]
    return "; ".join(parts)


def choose_layers(
    denoiser: DenoiserRoles, placement: Placement, active_blocks: frozenset[int]
) -> tuple[nn.Module, ...]:
    """The layers that `placement` names in the active blocks.

    Raises:
        ConfigError: A range names a block that the denoiser does not have.
    """
    chosen: list[nn.Module] = []
    for kind, text in placement.items():
        if kind == OUTSIDE:
            chosen += denoiser.outer_linears if text == "all" else ()
            continue
        blocks = parse_range(text, len(denoiser.blocks)) & active_blocks
        layers = denoiser.linears_by_kind[kind]
        chosen += [layer for block in sorted(blocks) for layer in layers[block]]
    return tuple(chosen)
