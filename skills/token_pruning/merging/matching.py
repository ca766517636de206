"""Which tokens are alike: bipartite soft matching on the latent grid.

Bolya et al., "Token Merging: Your ViT But Faster", arXiv 2210.09461, section 3; on a grid with one
destination in each cell, "Token Merging for Fast Stable Diffusion", arXiv 2303.17604, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sol.roles import TokenGrid

Cell = tuple[int, int, int]
"""Frames, rows and columns."""


@dataclass(frozen=True)
class Matching:
    """Pairs of tokens of the grid, n of each sample.

    Attributes:
        sources: (samples, n), each token at most once.
        destinations: (samples, n), what each source is most like; never a source itself.
    """

    sources: Tensor
    destinations: Tensor


def match_tokens(
    features: Tensor, grid: TokenGrid, cell: Cell, chunk: int, n_pairs: int
) -> Matching:
    """The `n_pairs` tokens that are most like a destination of their chunk, by cosine similarity.

    Frames are matched in chunks: over all of them there would be tokens squared similarities.

    Args:
        features: Of the grid's tokens, (samples, tokens, width).
        chunk: Frames in a chunk.
        n_pairs: At most as many as `count_sources` says.
    """
    features = F.normalize(features.float(), dim=-1)
    pairs = [
        _match_chunk(features, sources, destinations)
        for sources, destinations in _split(grid, cell, chunk, features.device)
    ]
    sources, destinations, similarity = (
        torch.cat(parts, dim=1) for parts in zip(*pairs, strict=True)
    )
    alike = similarity.topk(n_pairs, dim=1).indices
    return Matching(sources.gather(1, alike), destinations.gather(1, alike))


def count_sources(grid: TokenGrid, cell: Cell, chunk: int) -> int:
    """How many tokens of the grid are not destinations."""
    return sum(len(sources) for sources, _ in _split(grid, cell, chunk, torch.device("cpu")))


def _match_chunk(
    features: Tensor, sources: Tensor, destinations: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(source, its destination, their similarity), each (samples, sources of the chunk)."""
    similarities = features[:, sources] @ features[:, destinations].transpose(1, 2)
    best = similarities.max(dim=2)
    return sources.expand(len(features), -1), destinations[best.indices], best.values


def _split(
    grid: TokenGrid, cell: Cell, chunk: int, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """(sources, destinations) of each chunk: the first token of each cell is its destination."""
    frames, rows, columns = torch.meshgrid(
        *(torch.arange(n, device=device) for n in grid.sizes), indexing="ij"
    )
    is_destination = (
        (frames % chunk % cell[0] == 0) & (rows % cell[1] == 0) & (columns % cell[2] == 0)
    ).flatten()
    chunk_of = (frames // chunk).flatten()
    return [
        ((here & ~is_destination).nonzero()[:, 0], (here & is_destination).nonzero()[:, 0])
        for here in (chunk_of == number for number in range(-(-grid.frames // chunk)))
    ]
