"""tome: which tokens are taken to be alike, and that merging loses nothing that is alike."""

from __future__ import annotations

import pytest
import torch
from contracts.models import PLAIN, denoise
from tiny_models import build_tiny, tiny_workload
from token_calls import GRID, begin_video, call_denoiser

from sol.models.families import describe_roles
from sol.roles import TokenGrid
from sol.runtime.applied import install_stack
from sol.schedule import Schedule
from sol.skills.registry import get_technique
from sol.skills.token_pruning.merging.matching import Matching, count_sources, match_tokens
from sol.skills.token_pruning.merging.merged import merge_pairs
from sol.skills.token_pruning.merging.tome import ToMeConfig
from sol.technique import StackItem

SMALL = TokenGrid(2, 2, 4)
"""Cells of 1x2x2 begin at tokens 0, 2, 8 and 10."""


def random_features(n_samples, grid, width=64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_samples, grid.n_tokens, width, generator=generator)


def pairs_of(matching):
    rows = zip(matching.sources.tolist(), matching.destinations.tolist(), strict=True)
    return [dict(zip(*row, strict=True)) for row in rows]


def test_tokens_are_matched_with_the_destination_that_they_are_like():
    """The most alike first, whatever their size."""
    features = random_features(2, SMALL)
    features[0, 5] = 3 * features[0, 2]
    features[0, 15] = 0.5 * features[0, 0]
    features[1, 1] = features[1, 10]
    matching = match_tokens(features, SMALL, (1, 2, 2), chunk=2, n_pairs=2)
    first, second = pairs_of(matching)
    assert first == {5: 2, 15: 0}
    assert second[1] == 10


def test_frames_of_another_chunk_are_not_looked_at():
    features = random_features(1, SMALL)
    features[0, 15] = features[0, 0]
    features[0, 3] = features[0, 2]
    (pairs,) = pairs_of(match_tokens(features, SMALL, (1, 2, 2), chunk=1, n_pairs=12))
    assert pairs[3] == 2
    assert all(source // 8 == destination // 8 for source, destination in pairs.items())


@pytest.mark.parametrize("cell", [(1, 2, 2), (2, 2, 2), (2, 1, 1)])
@pytest.mark.parametrize("sizes", [(2, 4, 6), (3, 5, 7), (1, 1, 2)])
def test_each_cell_has_a_destination_at_every_edge(cell, sizes):
    grid = TokenGrid(*sizes)
    n_cells = 1
    for size, side in zip(sizes, cell, strict=True):
        n_cells *= -(-size // side)
    n_sources = count_sources(grid, cell, chunk=2)
    assert n_sources == grid.n_tokens - n_cells
    (pairs,) = pairs_of(match_tokens(random_features(1, grid), grid, cell, 2, n_sources))
    assert len(pairs) == n_sources
    assert not pairs.keys() & set(pairs.values())
    assert pairs.keys() | set(pairs.values()) <= set(range(grid.n_tokens))


TEXT = TokenGrid(1, 2, 3, n_before=2, n_after=1)
MATCHING = Matching(torch.tensor([[5, 1], [4, 3]]), torch.tensor([[0, 0], [2, 0]]))
"""Of the grid's six tokens; text makes nine of them."""


@pytest.mark.parametrize("n_batch", [2, 4], ids=["samples", "both branches of them"])
def test_a_merged_token_is_the_mean_of_its_members(n_batch):
    hidden = torch.arange(n_batch * 9.0).view(n_batch, 9, 1) ** 2
    merged = merge_pairs(MATCHING, TEXT, n_batch)
    reduced = merged.reduce(hidden)
    assert merged.n_kept == 7
    first, second = hidden[0, :, 0], hidden[-1, :, 0]
    assert torch.equal(reduced[0, :2, 0], first[:2])
    assert reduced[0, 2, 0] == first[[2, 3, 7]].mean()
    assert torch.equal(reduced[0, 3:, 0], first[[4, 5, 6, 8]])
    assert torch.equal(reduced[-1, :2, 0], second[:2])
    assert reduced[-1, 2:4, 0].tolist() == [second[[2, 5]].mean(), second[3]]
    assert reduced[-1, 4, 0] == second[[4, 6]].mean()


@pytest.mark.parametrize("n_batch", [2, 4])
def test_every_token_gets_what_was_added_to_its_mean(n_batch):
    hidden = torch.arange(n_batch * 9.0).view(n_batch, 9, 1)
    merged = merge_pairs(MATCHING, TEXT, n_batch)
    reduced = merged.reduce(hidden)
    assert torch.equal(merged.expand(hidden, reduced), hidden)
    added = torch.arange(7.0).view(1, 7, 1)
    gained = merged.expand(hidden, reduced + added) - hidden
    assert gained[0, :, 0].tolist() == [0, 1, 2, 2, 3, 4, 5, 2, 6]
    assert gained[1, :, 0].tolist() == [0, 1, 2, 3, 4, 2, 4, 5, 6]


def test_positions_are_those_of_the_destinations():
    table = torch.arange(9.0).view(1, 9, 1)
    selected = merge_pairs(MATCHING, TEXT, 2).select(table)
    assert selected[..., 0].tolist() == [[0, 1, 2, 4, 5, 6, 8], [0, 1, 2, 3, 4, 7, 8]]


@pytest.mark.parametrize("branches", [("both",), ("cond", "uncond")])
def test_a_step_is_matched_once(branches, monkeypatch):
    """For both branches of guidance alike, in one call and in two."""
    from sol.skills.token_pruning.merging import tome

    matched = []

    def match_and_note(*args, **kwargs):
        matched.append(match_tokens(*args, **kwargs))
        return matched[-1]

    monkeypatch.setattr(tome, "match_tokens", match_and_note)
    roles = describe_roles(build_tiny("ltx" if branches == ("both",) else "wan"))
    clock = begin_video(roles)
    config = ToMeConfig(ratio=0.25)
    installed = get_technique("tome").install(roles, config, Schedule(), clock)
    for step in range(3):
        for branch in branches:
            clock.branch = branch
            call_denoiser(roles, 2 if branch == "both" else 1, seed=step)
        clock.advance()
    assert len(matched) == 3
    assert [m.sources.shape for m in matched] == [(1, 12)] * 3
    assert not torch.equal(matched[0].sources, matched[1].sources)
    assert installed.evidence().counts["tokens_left_out"] == 3 * 2 * GRID.n_tokens // 4


def test_no_more_is_merged_than_there_are_sources():
    pipeline, workload = build_tiny("ltx"), tiny_workload("ltx")
    applied = install_stack(pipeline, (StackItem("tome", {"ratio": 0.9}),))
    denoise(pipeline, workload, PLAIN)
    counts = applied.evidence()["tome"].counts
    # Cells of 1x2x2.
    assert counts["tokens_left_out"] == 3 * counts["tokens_computed"]


def test_outside_of_a_video_nothing_is_merged():
    """As in a calibration, whose calls are of no step."""
    roles = describe_roles(build_tiny("ltx"))
    clock = begin_video(roles, n_steps=0)
    installed = get_technique("tome").install(roles, ToMeConfig(), Schedule(), clock)
    call_denoiser(roles, 2)
    assert not installed.evidence().engaged
