"""ras: regions by the spread of their last output, and none left out for ever."""

from __future__ import annotations

import pytest
import torch
from example_prompts import PROMPT
from token_calls import GRID, a_call

from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.skills.token_pruning.pruning.ras import RASConfig, Regions
from sol.technique import StackItem

# Of the pocket model at the test's workload.
N_TOKENS = 320
HIDDEN = torch.zeros(1, GRID.n_tokens, 8)


def output(spreads):
    """(token, spread) over four channels of each, all others being flat."""
    tensor = torch.full((1, 4, *GRID.sizes), 7.0)
    for token, spread in spreads:
        tensor.flatten(2)[0, :, token] += spread * torch.tensor([1.0, -1.0, 1.0, -1.0])
    return tensor


def choose(regions):
    return regions.choose(a_call(), HIDDEN)


@pytest.mark.parametrize(("metric", "expected"), [("std", [4, 9]), ("l2", [9, 30])])
def test_what_is_kept_depends_on_the_metric(metric, expected):
    """A constant has a norm, and no spread."""
    regions = Regions(RASConfig(sample_ratio=2 / GRID.n_tokens, metric=metric), None)
    result = output([(4, 1.0), (9, 2.0)])
    result.flatten(2)[0, :, 30] = 8.0
    regions.observe(a_call(), result, None)
    assert choose(regions).tolist() == [expected]


def test_there_is_no_choice_without_an_output():
    regions = Regions(RASConfig(), None)
    assert choose(regions) is None
    regions.observe(a_call(), output([]), None)
    assert choose(regions) is not None
    regions.forget()
    assert choose(regions) is None


@pytest.mark.parametrize(("starvation", "turn"), [(0.0, None), (0.5, 5), (1.0, 3)])
def test_who_was_left_out_gets_a_turn(starvation, turn):
    """Token 9 has ten times the spread of token 4: e^(0.5 * 5) is more, e^(0.5 * 4) less."""
    regions = Regions(RASConfig(sample_ratio=1 / GRID.n_tokens, starvation=starvation), None)
    result = output([(4, 1.0), (9, 10.0)])
    regions.observe(a_call(), result, None)
    turns = []
    for _ in range(7):
        rows = choose(regions)
        turns.append(rows.item())
        regions.observe(a_call(), result, rows)
    assert turns == [4 if n == turn else 9 for n in range(7)]


def test_a_dense_step_ends_the_count():
    regions = Regions(RASConfig(sample_ratio=1 / GRID.n_tokens), None)
    result = output([(4, 1.0), (9, 10.0)])
    for rows in (None, choose, choose, None):
        regions.observe(a_call(), result, rows and rows(regions))
    assert regions.n_left_out.max() == 0
    assert choose(regions).item() == 9


def test_sparse_steps_compute_their_share(pipeline, workload):
    """Of eight steps 3, 4 and 6 are sparse; both branches of guidance are in one batch."""
    config = {"sample_ratio": 0.25, "warmup": 3, "refresh": 3}
    applied = install_stack(pipeline, (StackItem("ras", config),))
    render(pipeline, workload, PROMPT, 0)
    counts = applied.evidence()["ras"].counts
    assert counts["calls_reduced"] == 3
    assert counts["tokens_computed"] == 2 * (5 * N_TOKENS + 3 * N_TOKENS // 4)
    assert counts["tokens_left_out"] == 2 * 3 * N_TOKENS * 3 // 4
