"""Which blocks are kept."""

from __future__ import annotations

import pytest
import torch

from sol.roles import TokenGrid
from sol.skills.sparse_attention.selection.distance import (
    score_frames,
    score_places,
    score_radial,
    score_window,
)
from sol.skills.sparse_attention.selection.ranking import (
    always_kept,
    keep_above,
    keep_best,
    n_kept,
)
from sol.skills.sparse_attention.selection.spatial_temporal import choose_by_error
from sol.skills.sparse_attention.selection.topk import (
    choose_top_blocks,
    pool_tokens,
    score_blocks,
)
from sol.skills.sparse_attention.sequence.blocks import make_sequence

NOTHING = torch.zeros(6, 6, dtype=torch.bool)


@pytest.mark.parametrize(
    ("density", "kept"), [(1.0, 27), (0.25, 7), (1 / 3, 9), (0.01, 1), (0.999, 27)]
)
def test_a_share_is_rounded_up_to_whole_blocks(density, kept):
    assert int(n_kept(density, 27)) == kept


def test_the_best_of_each_row_are_kept_and_the_forced_among_them():
    scores = torch.tensor([[5.0, 4, 3, 2, 1, 0]]).expand(6, 6)
    forced = torch.eye(6, dtype=torch.bool)
    kept = keep_best(scores, torch.tensor(2), forced)
    assert kept.sum(-1).tolist() == [2] * 6
    assert kept.diagonal().all()
    assert kept[:, 0].all()


def test_heads_may_keep_different_numbers():
    kept = keep_best(torch.rand(2, 3, 6, 6), torch.tensor([1, 3, 6]), NOTHING)
    assert kept.sum(-1).unique(dim=0).shape == (1, 3, 6)
    assert kept.sum(-1)[0, :, 0].tolist() == [1, 3, 6]


def test_what_is_forced_is_kept_even_beyond_the_number():
    kept = keep_best(torch.rand(6, 6), torch.tensor(1), ~NOTHING)
    assert kept.all()


def test_a_block_that_stands_out_is_kept_by_its_distance_from_the_mean():
    row = torch.tensor([0.0, 0, 0, 0, 0, 6])
    kept = keep_above(row.expand(6, 6), 2.0, torch.eye(6, dtype=torch.bool))
    assert kept[:, 5].all()
    assert kept.sum(-1).tolist() == [2, 2, 2, 2, 2, 1]


def test_text_is_seen_by_all_and_sees_all():
    has_text = torch.tensor([False, False, True])
    first = torch.tensor([True, False, False])
    assert always_kept(has_text, first, sink=False).tolist() == [
        [True, False, True],
        [False, True, True],
        [True, True, True],
    ]
    assert always_kept(has_text, first, sink=True)[:, 0].all()


def test_pooling_takes_the_mean_of_what_a_short_last_block_has():
    x = torch.arange(7.0).reshape(1, 1, 7, 1)
    assert pool_tokens(x, 3).flatten().tolist() == [1.0, 4.0, 6.0]


@pytest.mark.parametrize("unit", [None, 2, 4])
@pytest.mark.parametrize("n_tokens", [24, 27])
def test_scores_find_the_block_that_was_planted(unit, n_tokens):
    """Queries of block 1 look at keys of block 4 alone."""
    query, key = torch.randn(2, 1, 2, n_tokens, 8).mul(0.1)
    query[:, :, 4:8, 0] = key[:, :, 16:20, 0] = 20.0
    scores = score_blocks(query, key, 4, unit)
    assert scores.shape[-1] == -(-n_tokens // 4)
    assert (scores[:, :, 1].argmax(-1) == 4).all()


def test_scores_of_units_are_shares_of_attention():
    query, key = torch.randn(2, 1, 2, 27, 8)
    assert torch.allclose(score_blocks(query, key, 4, 2).sum(-1), torch.ones(1, 2, 7))


def test_top_blocks_keep_the_density():
    query, key = torch.randn(2, 2, 3, 64, 8)
    kept = choose_top_blocks(query, key, 4, density=0.25)
    assert (kept.sum(-1) == 4).all()
    assert kept.diagonal(dim1=-2, dim2=-1).all()


CENTRES = make_sequence(TokenGrid(4, 4, 4), "tiles", block=8).centres


def nearest(scores, n=4):
    """The centres of what block 0, at the corner of the grid, keeps."""
    kept = keep_best(scores, torch.tensor(n), torch.eye(len(scores), dtype=torch.bool))
    return CENTRES[kept[0]]


def test_a_window_reaches_as_far_in_time_as_it_is_stretched():
    wide = make_sequence(TokenGrid(8, 8, 8), "tiles", block=8).centres
    reach = []
    for stretch in (0.5, 1.0, 2.0):
        kept = keep_best(score_window(wide, stretch), torch.tensor(16), torch.eye(64).bool())
        reach.append(float(wide[kept[0]][:, 0].max()))
    assert reach[0] < reach[1] < reach[2]


def test_the_radial_window_shrinks_with_time():
    centres = make_sequence(TokenGrid(8, 8, 8), "tiles", block=8).centres
    kept = keep_best(score_radial(centres, 8, 1.0), torch.tensor(16), torch.eye(64).bool())
    mine = centres[kept[0]]
    own = mine[:, 0] == centres[0, 0]
    later = mine[:, 0] == mine[:, 0].max()
    assert own.sum() > later.sum() > 0


def test_without_decay_the_radial_window_is_the_same_at_any_distance():
    kept = nearest(score_radial(CENTRES, 4, 0.0), n=2)
    assert kept[:, 1:].unique(dim=0).shape[0] == 1


def test_spatial_attention_is_within_a_frame_and_temporal_at_a_place():
    assert nearest(score_frames(CENTRES))[:, 0].unique().numel() == 1
    assert nearest(score_places(CENTRES), n=2)[:, 1:].unique(dim=0).shape[0] == 1


def test_each_head_gets_the_pattern_that_fits_it():
    """Head 0 looks at the first half of the keys, head 1 at the second."""
    key = torch.zeros(1, 2, 16, 4)
    key[0, 0, :8, 0] = key[0, 1, 8:, 0] = 30.0
    query = torch.zeros(1, 2, 16, 4)
    query[..., 0] = 1.0
    value = torch.randn(1, 2, 16, 4)
    first = torch.zeros(4, 4, dtype=torch.bool)
    first[:, :2] = True
    patterns = torch.stack([first, ~first])
    chosen = choose_by_error(query, key, value, patterns, block=4, n_rows=5)
    assert torch.equal(chosen[0, 0], first)
    assert torch.equal(chosen[0, 1], ~first)
