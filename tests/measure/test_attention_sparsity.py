"""How much of attention is in few blocks: known answers, the kernel's own, and real videos."""

import numpy as np
import pytest
import torch
from example_prompts import OTHER_PROMPT, PROMPT
from tiny_models import build_tiny, build_tiny_experts, tiny_workload
from torch.nn import functional

from sol.clock import Clock
from sol.kernels.block_sparse_attention import block_sparse_attention, make_layout
from sol.measure.attention_sparsity import (
    AttentionWatch,
    compared_steps,
    watch_attention,
    whole_blocks,
)
from sol.measure.block_shares import compare_densities
from sol.models.families import describe_roles
from sol.roles import TokenGrid
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.runtime.ticker import start_ticking

BLOCK = 8
N_BLOCKS = 6


def tensors(n_tokens=BLOCK * N_BLOCKS, seed=0):
    """Query, key and value, (1, 2 heads, tokens, 4)."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 2, n_tokens, 4, generator=generator) for _ in range(3)]


def keep(blocks, n_rows):
    """Every row of both heads keeps these blocks, at one density."""
    kept = torch.zeros(1, 2, 1, n_rows, N_BLOCKS, dtype=torch.bool)
    kept[..., blocks] = True
    return kept


@pytest.mark.parametrize("blocks", [[0], [1, 4], [0, 2, 3, 5]])
def test_even_attention_holds_in_blocks_what_they_are_of_all(blocks):
    query, key, value = tensors()
    shares = compare_densities(0 * query, key, value, BLOCK, [0, 3], keep(blocks, 2))
    assert shares.mass.flatten().tolist() == pytest.approx([len(blocks) / N_BLOCKS] * 2)
    dense = value.mean(2)
    by_block = value.unflatten(2, (N_BLOCKS, BLOCK))[:, :, blocks].mean((2, 3))
    expected = (by_block - dense).norm(dim=-1) / dense.norm(dim=-1)
    assert torch.allclose(shares.error["drop"].flatten(), expected.flatten(), rtol=1e-4)
    assert shares.error["mean"].max() < 1e-6


def test_attention_to_one_block_is_all_in_it():
    query, key, value = tensors()
    key[:, :, : 2 * BLOCK] = key[:, :, 3 * BLOCK :] = 0
    key[:, :, 2 * BLOCK : 3 * BLOCK] = 50.0
    shares = compare_densities(query.abs() + 1, key, value, BLOCK, [1, 5], keep([2], 2))
    assert shares.mass.min() > 1 - 1e-6
    assert max(error.max() for error in shares.error.values()) < 1e-6
    wrong = compare_densities(query.abs() + 1, key, value, BLOCK, [1, 5], keep([3], 2))
    assert wrong.mass.min() > 1 - 1e-6
    assert wrong.error["drop"].min() > 0.5
    assert wrong.error["mean"].max() < 1e-6


@pytest.mark.parametrize("n_tokens", [48, 43], ids=["whole blocks", "a short last block"])
@pytest.mark.parametrize("remainder", ["drop", "mean"])
def test_errors_are_those_of_the_kernel(n_tokens, remainder):
    query, key, value = tensors(n_tokens)
    kept = torch.rand(1, 2, 3, N_BLOCKS, N_BLOCKS, generator=torch.Generator().manual_seed(1))
    kept = (kept < 0.4) | torch.eye(N_BLOCKS, dtype=torch.bool)
    shares = compare_densities(query, key, value, BLOCK, range(N_BLOCKS), kept)
    dense = functional.scaled_dot_product_attention(query, key, value)
    for density in range(3):
        layout = make_layout(kept[:, :, density], n_tokens, BLOCK)
        output = block_sparse_attention(query, key, value, layout, remainder=remainder)
        expected = (output - dense).square().sum((0, 2, 3)).sqrt() / dense.square().sum(
            (0, 2, 3)
        ).sqrt()
        assert torch.allclose(shares.error[remainder][:, density], expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("n_blocks", "expected"),
    [
        (5, (0.2, 0.4, 0.6)),
        (20, (0.1, 0.15, 0.25, 0.35, 0.5)),
        (2, (0.5,)),
    ],
)
def test_densities_are_whole_numbers_of_blocks(n_blocks, expected):
    asked = (0.1, 0.15, 0.25, 0.35, 0.5)
    assert whole_blocks(asked, n_blocks) == pytest.approx(expected)


@pytest.mark.parametrize(("n_steps", "steps"), [(24, (3, 12, 20)), (50, (7, 25, 42)), (2, (0, 1))])
def test_early_middle_and_late_steps_are_compared(n_steps, steps):
    assert compared_steps(n_steps) == steps


GRID = TokenGrid(6, 2, 4)
"""In raster order each of its frames is a block of eight tokens."""


def note_videos(queries, *, is_guided=False, branch="both"):
    """A watch of videos of 20 steps whose attention has one query throughout."""
    watch = AttentionWatch(Clock(), "raster", BLOCK)
    key = torch.zeros(1, 48, 2, 4)
    key[:, :24], key[:, 24:] = 1.0, -1.0
    for query in queries:
        watch.clock.begin_video(20, is_guided=is_guided)
        for _ in range(20):
            watch.clock.branch = branch
            if watch.is_due():
                n = query.shape[0]
                watch.note(0, 0, GRID, (query, key.expand(n, -1, -1, -1), query))
            watch.clock.advance()
    return watch.sparsity()


def test_choices_that_stay_overlap_and_opposite_ones_do_not():
    query = torch.ones(1, 48, 2, 4)
    same = note_videos([query, query])
    assert same.n_videos == 2
    assert same.overlap == {1: (1.0,), 4: (1.0,)}
    assert same.prompt_overlap == (1.0,)
    opposite = note_videos([query, -query])
    assert opposite.overlap[1] == (1.0,)
    assert opposite.prompt_overlap == (0.0,)
    assert note_videos([query]).prompt_overlap == ()


def test_of_two_blocks_the_own_one_is_kept_and_the_other_is_drawn_of_five():
    sparsity = note_videos([torch.ones(1, 48, 2, 4)])
    assert sparsity.compared_density == pytest.approx(2 / 6)
    assert sparsity.overlap_by_lot == pytest.approx(1 / 5)


def test_only_the_conditional_branch_is_recorded():
    query = torch.ones(1, 48, 2, 4)
    both = torch.cat([torch.full_like(query, torch.nan), query])
    assert note_videos([both], is_guided=True) == note_videos([query])
    assert note_videos([query], is_guided=True, branch="cond") == note_videos([query])
    assert note_videos([query], is_guided=True, branch="uncond") is None


def record(pipeline, workload, pairs, block=BLOCK):
    """The attention of real videos, and their latents."""
    roles, clock = describe_roles(pipeline), Clock()
    stop = start_ticking(pipeline, roles, clock)
    with watch_attention(roles, clock, block=block) as watch:
        latents = [render(pipeline, workload, *pair).latents for pair in pairs]
    stop()
    return watch.sparsity(), latents


@pytest.mark.parametrize(
    ("build", "lags"),
    [
        (lambda: build_tiny("ltx"), {1, 4}),
        (lambda: build_tiny("wan"), {1, 4}),
        (build_tiny_experts, {1}),
    ],
    ids=["ltx", "wan", "experts"],
)
def test_every_head_is_recorded_and_the_videos_stay_as_they_are(build, lags):
    """LTX guides in one call, Wan in two; no expert computes two steps that are four apart."""
    pipeline = build()
    workload = tiny_workload("ltx")
    pairs = ((PROMPT, 0), (OTHER_PROMPT, 1))
    fingerprint = fingerprint_pipeline(pipeline)
    plain = [render(pipeline, workload, *pair).latents for pair in pairs]
    sparsity, latents = record(pipeline, workload, pairs)
    assert fingerprint_pipeline(pipeline) == fingerprint
    for recorded, baseline in zip(latents, plain, strict=True):
        assert np.array_equal(recorded, baseline)
    n_blocks = np.prod(sparsity.sizes) // BLOCK
    assert sparsity.densities == whole_blocks((0.1, 0.15, 0.25, 0.35, 0.5, 0.7), n_blocks)
    shape = (4, 2, len(sparsity.densities))
    assert np.shape(sparsity.mass) == shape
    assert (np.diff(sparsity.mass) > 0).all()
    assert (np.asarray(sparsity.mass) >= np.asarray(sparsity.densities) - 1e-6).all()
    assert {name: np.shape(table) for name, table in sparsity.error.items()} == {
        "drop": shape, "mean": shape,
    }  # fmt: skip
    assert {lag: len(layers) for lag, layers in sparsity.overlap.items()} == dict.fromkeys(lags, 4)
    assert len(sparsity.prompt_overlap) == 4


def test_without_softmax_attention_or_blocks_there_is_nothing():
    pairs = ((PROMPT, 0),)
    assert record(build_tiny("sana_video"), tiny_workload("sana_video"), pairs)[0] is None
    assert record(build_tiny("ltx"), tiny_workload("ltx"), pairs, block=64)[0] is None
