"""The order in which tokens are cut into blocks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from sol.roles import TokenGrid
from sol.skills.sparse_attention.sequence.blocks import make_sequence
from sol.skills.sparse_attention.sequence.curves import hilbert_index, morton_index
from sol.skills.sparse_attention.sequence.tiles import choose_tile

ORDERS = ("raster", "tiles", "hilbert", "morton")
GRIDS = {
    "pocket-long": TokenGrid(9, 12, 12),
    "odd sides": TokenGrid(3, 5, 7),
    "text before": TokenGrid(2, 4, 6, n_before=5),
    "text around": TokenGrid(2, 3, 5, n_before=2, n_after=9),
}


def cube(side):
    axes = [torch.arange(side)] * 3
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


@pytest.mark.parametrize("side", [2, 4, 8])
def test_neighbours_on_a_hilbert_curve_are_neighbours_in_the_grid(side):
    points = cube(side)
    walk = points[hilbert_index(points).argsort()]
    steps = (walk[1:] - walk[:-1]).abs().sum(-1)
    assert sorted(hilbert_index(points).tolist()) == list(range(side**3))
    assert (steps == 1).all()


def test_the_morton_curve_interleaves_bits():
    points = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [3, 0, 1]])
    assert morton_index(points).tolist() == [0, 1, 2, 4, 0b100101]


@pytest.mark.parametrize(
    ("sizes", "volume", "tile"),
    [
        ((9, 12, 12), 48, (3, 4, 4)),
        ((8, 16, 24), 64, (4, 4, 4)),
        ((1, 16, 16), 64, (1, 8, 8)),
        ((5, 8, 8), 64, (1, 8, 8)),
        ((2, 2, 2), 64, (1, 1, 1)),
    ],
    ids=["divides", "cube", "one frame", "odd number of frames", "larger than the grid"],
)
def test_a_tile_divides_the_grid_if_one_does(sizes, volume, tile):
    assert choose_tile(sizes, volume) == tile


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_restoring_undoes_arranging(order, grid):
    sequence = make_sequence(grid, order, block=16)
    x = torch.randn(2, grid.n_tokens, 3, 4)
    arranged = sequence.arrange(x)
    assert arranged.shape == (2, 3, grid.n_tokens, 4)
    assert torch.equal(sequence.restore(arranged), x)


@pytest.mark.parametrize("order", ORDERS)
def test_text_comes_last_and_its_blocks_are_known(order):
    grid = GRIDS["text around"]
    sequence = make_sequence(grid, order, block=16)
    marks = torch.zeros(1, grid.n_tokens, 1, 1)
    marks[:, :2] = marks[:, -9:] = 1
    assert sequence.arrange(marks).flatten().tolist() == [0] * 30 + [1] * 11
    assert sequence.has_text.tolist() == [False, True, True]


def test_raster_without_text_moves_nothing():
    sequence = make_sequence(TokenGrid(2, 4, 4), "raster", block=8)
    assert sequence.tokens is None
    assert sequence.has_first_frame.tolist() == [True, True, False, False]


def test_centres_are_means_of_the_blocks_coordinates():
    sequence = make_sequence(TokenGrid(2, 2, 4), "raster", block=4)
    # Rows of four columns: frame and row are those of the block, the column the mean of 0..3.
    expected = [[f / 2, r / 2, 1.5 / 4] for f in (0, 1) for r in (0, 1)]
    assert torch.allclose(sequence.centres, torch.tensor(expected))


@pytest.mark.parametrize("order", ["tiles", "hilbert", "morton"])
def test_blocks_are_more_compact_than_raster_ones(order):
    """The mean distance of a block's tokens from its centre, in shares of the sides."""
    grid = TokenGrid(9, 12, 12)

    def spread(name):
        sequence = make_sequence(grid, name, block=48)
        axes = [torch.arange(size) / size for size in grid.sizes]
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(1, -1, 1, 3)
        blocks = sequence.arrange(points)[0, 0].split(48)
        return sum(float((b - b.mean(0)).norm(dim=-1).mean()) for b in blocks)

    assert spread(order) < 0.9 * spread("raster")


def test_equal_coordinates_never_share_a_place_on_a_curve():
    points = torch.tensor([[f, r, c] for f in range(3) for r in range(5) for c in range(6)])
    for index in (hilbert_index, morton_index):
        places = sorted(index(points).tolist())
        assert all(a < b for a, b in pairwise(places))
