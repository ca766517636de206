"""What `sparse_attention.py` times: sizes, and tensors of which attention has structure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sol.roles import TokenGrid
from sol.skills.sparse_attention.sequence.blocks import make_sequence


@dataclass(frozen=True)
class Size:
    """A self-attention over a latent grid.

    Attributes:
        grid: Frames, rows and columns of tokens.
        block: Tokens a block.
    """

    grid: tuple[int, int, int]
    heads: int
    head_dim: int
    block: int
    batch: int = 1

    @property
    def tokens(self) -> int:
        """Of the sequence."""
        return math.prod(self.grid)


@dataclass(frozen=True)
class Case:
    """A size, the share of blocks that are kept, and whether all paths are timed or the best."""

    size: Size
    density: float
    all_paths: bool = False


_DENSITIES = (0.1, 0.15, 0.25, 0.5)
_MAIN_DENSITY = 0.25
_CPU_SIZES = (
    Size((8, 8, 16), 4, 32, 64),
    Size((9, 12, 12), 4, 32, 48),
    Size((8, 16, 16), 4, 32, 64),
    Size((16, 16, 16), 4, 32, 64),
)
# LTX-2B, Wan-1.3B.
_CUDA_SIZES = (
    Size((21, 16, 24), 32, 64, 64),
    Size((21, 30, 52), 12, 128, 64),
)


def cases(is_cuda: bool) -> Iterator[Case]:
    """On a CPU all densities, then at one of them other blocks, heads and batches."""
    if is_cuda:
        for size in _CUDA_SIZES:
            for block in (64, 128):
                yield Case(replace(size, block=block), _MAIN_DENSITY, all_paths=True)
        return
    for size in _CPU_SIZES:
        for density in _DENSITIES:
            yield Case(size, density, all_paths=density == _MAIN_DENSITY)
    small, large = _CPU_SIZES[1], _CPU_SIZES[-1]
    yield Case(small, 1 / 3)
    for block, density in ((72, _MAIN_DENSITY), (72, 1 / 3), (144, 1 / 3)):
        yield Case(replace(small, block=block), density)
    yield Case(replace(large, block=128), _MAIN_DENSITY)
    for size in (small, large, replace(large, block=128)):
        yield Case(replace(size, batch=2), _MAIN_DENSITY)
        yield Case(replace(size, head_dim=64), _MAIN_DENSITY)


def draw_random(size: Size, device: str, dtype: torch.dtype) -> list[Tensor]:
    """Query, key and value of independent normal values: attention is nearly even."""
    return [_view(torch.randn(_shape(size)), device, dtype) for _ in range(3)]


def draw_smooth(size: Size, device: str, dtype: torch.dtype) -> list[Tensor]:
    """Query, key and value that follow smooth fields over the grid, half signal and half noise.

    Queries and keys of a head share their field, so that attention prefers what lies near, as in
    video models: the quarter of the keys that gets most gets about nine tenths of it. Tokens stand
    box by box, as the techniques arrange them.
    """
    frames, rows, columns = size.grid
    tokens = make_sequence(TokenGrid(frames, rows, columns), "tiles", size.block).tokens
    axes = [torch.linspace(0, 1, length) for length in size.grid]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2)
    if tokens is not None:
        places = places[tokens]
    shared, of_value = (_field(places, size) for _ in range(2))
    return [
        _view((signal + torch.randn(_shape(size))) * 2**-0.5 * strength, device, dtype)
        for signal, strength in ((shared, 1.4), (shared, 1.4), (of_value, 1.0))
    ]


def _field(places: Tensor, size: Size) -> Tensor:
    """(1, tokens, heads, head_dim): waves of one to two periods over the grid."""
    waves = 2 * math.pi * torch.randn(3, size.heads * size.head_dim)
    phases = 2 * math.pi * torch.rand(size.heads * size.head_dim)
    waves = 2**0.5 * torch.cos(places @ waves + phases)
    return waves.view(1, size.tokens, size.heads, size.head_dim)


def _shape(size: Size) -> tuple[int, int, int, int]:
    return size.batch, size.tokens, size.heads, size.head_dim


def _view(x: Tensor, device: str, dtype: torch.dtype) -> Tensor:
    """Heads before tokens, as models hand them over: tokens come first in memory."""
    return x.to(device, dtype).transpose(1, 2)
