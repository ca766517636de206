"""Block-sparse attention: every path against the reference in float64, and what layouts refuse."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from sol.kernels.block_sparse_attention import (
    PATHS,
    REMAINDERS,
    BlockLayout,
    block_sparse_attention,
    flex,
    gathered,
    make_layout,
    triton_path,
)
from sol.kernels.operator.arguments import KernelArgumentError

HEADS, HEAD_DIM = 2, 32

# Absolute and relative. A mean is rounded before it is attended to in half precision.
TOLERANCES = {
    torch.float32: 1e-5,
    torch.float16: 2**-8,
    torch.bfloat16: 2**-5,
}


def draw(n_tokens, dtype=torch.float32, batch=2, head_dim=HEAD_DIM, device="cpu"):
    """Query, key and value as a model hands them over: heads after tokens in memory."""
    random = torch.Generator().manual_seed(0)
    shape = (3, batch, n_tokens, HEADS, head_dim)
    # Twice as large, so that blocks differ in what they get.
    drawn = 2 * torch.randn(shape, generator=random)
    return drawn.to(device, dtype).transpose(2, 3).unbind()


def any_mask(n_samples, n_blocks, share=0.4):
    """Other counts in each head, sample and query block."""
    random = torch.Generator().manual_seed(1)
    shares = share * torch.tensor([0.5, 1.5])[:, None, None]
    drawn = torch.rand(n_samples, HEADS, n_blocks, n_blocks, generator=random) < shares
    drawn[..., 0] |= ~drawn.any(-1)
    return drawn


def equal_counts(n_samples, n_blocks, n_kept):
    random = torch.Generator().manual_seed(2)
    order = torch.rand(n_samples, HEADS, n_blocks, n_blocks, generator=random).argsort(-1)
    return order < n_kept


# Tokens, block, mask of one or two samples.
CASES = {
    "whole blocks, equal counts": (96, 16, lambda n: equal_counts(1, n, 2)),
    "whole blocks, other counts in each head": (96, 16, lambda n: any_mask(1, n)),
    "a mask for each sample": (96, 32, lambda n: any_mask(2, n)),
    "a short last block": (90, 16, lambda n: any_mask(1, n)),
    "a last block of one token": (65, 32, lambda n: any_mask(2, n, 0.6)),
    "a short last block that all keep": (
        75,
        32,
        lambda n: any_mask(1, n) | (torch.arange(n) == n - 1),
    ),
    "one block kept": (128, 32, lambda n: equal_counts(1, n, 1)),
    "all blocks kept": (100, 32, lambda n: equal_counts(1, n, n)),
    "fewer tokens than a block": (20, 32, lambda n: equal_counts(1, n, n)),
    "blocks within tokens of no round number": (77, 32, lambda n: any_mask(2, n, 0.5)),
}
in_every_case = pytest.mark.parametrize("case", CASES)
with_each_remainder = pytest.mark.parametrize("remainder", REMAINDERS)
in_every_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


def layout_of(case, device="cpu"):
    n_tokens, block, build = CASES[case]
    return make_layout(build(-(-n_tokens // block)).to(device), n_tokens, block)


def expected(query, key, value, layout, remainder, scale=HEAD_DIM**-0.5):
    query, key, value = query.double(), key.double(), value.double()
    return PATHS["reference"].attend(query, key, value, layout, remainder, scale)


def assert_close(actual, wanted, dtype):
    tolerance = TOLERANCES[dtype]
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.double(), wanted, rtol=tolerance, atol=tolerance)


@in_every_case
@with_each_remainder
@in_every_dtype
@pytest.mark.parametrize("path", ["gathered", "masked", "reference"])
def test_path_equals_the_reference(case, remainder, dtype, path):
    layout = layout_of(case)
    tensors = draw(layout.n_tokens, dtype)
    output = block_sparse_attention(*tensors, layout, remainder=remainder, path=path)
    assert_close(output, expected(*tensors, layout, remainder), dtype)
    for after, before in zip(tensors, draw(layout.n_tokens, dtype), strict=True):
        assert torch.equal(after, before)


@pytest.mark.parametrize("path", ["gathered", "masked", "reference"])
@with_each_remainder
def test_with_all_blocks_it_is_dense_attention(path, remainder):
    layout = layout_of("all blocks kept")
    tensors = draw(layout.n_tokens)
    output = block_sparse_attention(*tensors, layout, remainder=remainder, path=path, scale=0.2)
    dense = functional.scaled_dot_product_attention(*tensors, scale=0.2)
    torch.testing.assert_close(output, dense, rtol=1e-5, atol=1e-5)


def test_dropped_blocks_do_not_matter():
    layout = layout_of("a short last block")
    query, key, value = draw(layout.n_tokens)
    output = block_sparse_attention(query, key, value, layout)
    kept = layout.mask[0, 1, 2].repeat_interleave(layout.block)[: layout.n_tokens]
    alone = functional.scaled_dot_product_attention(
        query[:, 1, 32:48], key[:, 1, kept], value[:, 1, kept]
    )
    torch.testing.assert_close(output[:, 1, 32:48], alone, rtol=1e-5, atol=1e-5)


def test_a_mean_loses_nothing_where_the_tokens_of_a_block_are_equal():
    layout = layout_of("a short last block")
    query, key, value = draw(layout.n_tokens)
    for x in (key, value):
        for block in torch.split(x, layout.block, dim=2):
            block[:] = block[:, :, :1].clone()
    output = block_sparse_attention(query, key, value, layout, remainder="mean")
    dense = functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(output, dense, rtol=1e-5, atol=1e-5)


@with_each_remainder
def test_calls_are_cut_where_not_all_keys_fit_the_cache(monkeypatch, remainder):
    layout = layout_of("whole blocks, other counts in each head")
    tensors = draw(layout.n_tokens)
    monkeypatch.setattr(gathered, "_BYTES_GATHERED", 20_000)
    output = block_sparse_attention(*tensors, layout, remainder=remainder, path="gathered")
    assert_close(output, expected(*tensors, layout, remainder), torch.float32)


@with_each_remainder
def test_a_layout_serves_another_batch_and_remainder(remainder):
    layout = layout_of("whole blocks, equal counts")
    for batch in (1, 3):
        for other in (remainder, *REMAINDERS):
            tensors = draw(layout.n_tokens, batch=batch)
            output = block_sparse_attention(*tensors, layout, remainder=other)
            assert_close(output, expected(*tensors, layout, other), torch.float32)


# No bfloat16: the interpreter multiplies matrices of its bits.
INTERPRETED = [(case, torch.float32) for case in CASES] + [("a short last block", torch.float16)]


@pytest.mark.parametrize(("case", "dtype"), INTERPRETED)
@with_each_remainder
def test_interpreted_kernel_equals_the_reference(run_interpreted, case, remainder, dtype):
    layout = layout_of(case)
    arguments = operator_arguments(draw(layout.n_tokens, dtype), layout, remainder)
    output, after = run_interpreted("block_sparse_attention", arguments)
    assert_close(output, expected(*arguments[:3], layout, remainder), dtype)
    assert all(map(torch.equal, after[:5], arguments[:5]))


def operator_arguments(tensors, layout, remainder):
    lists = layout.get_form(triton_path.sort_kept_first)
    return (*tensors, *lists, layout.block, remainder, HEAD_DIM**-0.5)


@with_each_remainder
def test_pytorch_accepts_the_operator(remainder):
    layout = layout_of("a short last block")
    arguments = operator_arguments(draw(layout.n_tokens), layout, remainder)
    torch.library.opcheck(triton_path.OPERATOR, arguments)
    output = triton_path.OPERATOR(*arguments)
    assert_close(output, expected(*arguments[:3], layout, remainder), torch.float32)


def test_flex_attention_equals_the_reference():
    layout = layout_of("blocks within tokens of no round number")
    tensors = draw(layout.n_tokens)
    obstacle = PATHS["flex"].find_obstacle(
        torch.device("cpu"), torch.float32, HEAD_DIM, layout, "drop"
    )
    if obstacle is not None:
        pytest.skip(obstacle)
    output = block_sparse_attention(*tensors, layout, path="flex")
    assert_close(output, expected(*tensors, layout, "drop"), torch.float32)


@in_every_case
def test_means_can_be_added_to_attention_over_the_kept_blocks(case):
    """What FlexAttention needs for them, with its log-sum-exp computed here."""
    layout = layout_of(case)
    query, key, value = draw(layout.n_tokens)
    owner = torch.arange(layout.n_tokens) // layout.block
    kept = layout.mask[:, :, owner][..., owner]
    scores = query @ key.transpose(-1, -2) * HEAD_DIM**-0.5
    lse = scores.masked_fill(~kept, -torch.inf).logsumexp(-1)
    alone = block_sparse_attention(query, key, value, layout)
    output = flex.add_means(alone, lse, query, key, value, layout, HEAD_DIM**-0.5)
    assert_close(output, expected(query, key, value, layout, "mean"), torch.float32)


def test_auto_takes_the_gathered_path_on_a_cpu():
    layout = layout_of("one block kept")
    tensors = draw(layout.n_tokens)
    chosen = block_sparse_attention(*tensors, layout)
    assert torch.equal(chosen, block_sparse_attention(*tensors, layout, path="gathered"))


in_each_half = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)


@pytest.mark.gpu
@in_every_case
@with_each_remainder
@in_each_half
def test_compiled_kernel_equals_the_reference(case, remainder, dtype):
    layout = layout_of(case, "cuda")
    tensors = draw(layout.n_tokens, dtype, device="cuda")
    output = block_sparse_attention(*tensors, layout, remainder=remainder, path="triton")
    assert_close(output, expected(*tensors, layout, remainder), dtype)


@pytest.mark.gpu
@with_each_remainder
@in_each_half
@pytest.mark.parametrize("path", ["triton", "flex"])
@pytest.mark.parametrize("block", [64, 128])
@pytest.mark.parametrize("head_dim", [64, 128])
def test_paths_of_a_gpu_take_real_sizes(remainder, dtype, path, block, head_dim):
    n_tokens = 1_000
    mask = any_mask(2, -(-n_tokens // block)).to("cuda")
    layout = make_layout(mask, n_tokens, block)
    tensors = draw(n_tokens, dtype, head_dim=head_dim, device="cuda")
    output = block_sparse_attention(*tensors, layout, remainder=remainder, path=path)
    wanted = expected(*tensors, layout, remainder, head_dim**-0.5)
    assert_close(output, wanted, dtype)


def test_a_layout_counts_what_it_keeps():
    mask = torch.eye(3, dtype=torch.bool)[None, None]
    layout = make_layout(mask, 10, 4)
    assert (layout.n_blocks, layout.n_kept, layout.n_all) == (3, 3, 9)
    assert layout.lengths.tolist() == [4, 4, 2]
    assert layout.density == pytest.approx((16 + 16 + 4) / 100)


ALL = torch.ones(1, HEADS, 3, 3, dtype=torch.bool)
NONE_IN_ONE = ALL & (torch.arange(3) != 1)[:, None]
MISFIT_LAYOUTS = [
    (
        (ALL, 100, 16),
        r"mask must be \(1 or batch, heads, 7, 7\) for 100 tokens .* got \(1, 2, 3, 3",
    ),
    ((ALL[0], 48, 16), r"got \(2, 3, 3\): give a value for each pair"),
    ((ALL.float(), 48, 16), "mask must be torch.bool, got torch.float32: cast it"),
    ((NONE_IN_ONE, 48, 16), "got 2 that keep none: keep at least the block itself"),
    ((ALL, 48, 0), "must be at least 1, got 48 and 0"),
]


@pytest.mark.parametrize(("arguments", "message"), MISFIT_LAYOUTS)
def test_a_layout_that_does_not_fit_is_refused(arguments, message):
    with pytest.raises(KernelArgumentError, match=message):
        make_layout(*arguments)


Q = torch.ones(2, HEADS, 48, HEAD_DIM)
LAYOUT = make_layout(ALL, 48, 16)
MISFITS = [
    ((Q[0], Q[0], Q[0], LAYOUT), {}, r"query must be \(batch, heads, tokens, head_dim\)"),
    ((Q.double(), Q, Q, LAYOUT), {}, "in torch.float64: reshape or cast it"),
    ((Q, Q[:, :1], Q, LAYOUT), {}, r"key must be .* got \(2, 1, 48, 32\)"),
    ((Q, Q, Q.bfloat16(), LAYOUT), {}, "value must be .* in torch.bfloat16"),
    ((Q[:, :, :40],) * 3 + (LAYOUT,), {}, "2 heads and 40 tokens, got 1, 2 and 48"),
    ((Q, Q, Q, make_layout(ALL.expand(3, -1, -1, -1), 48, 16)), {}, "1 or 2 samples"),
    ((Q, Q, Q, BlockLayout(ALL.to("meta"), 48, 16)), {}, "layout must be on cpu"),
    ((Q, Q, Q, LAYOUT), {"remainder": "first"}, "remainder must be one of drop, mean"),
    ((Q, Q, Q, LAYOUT), {"path": "cuda"}, "path must be one of auto, triton, gathered, .*'cuda'"),
    ((Q, Q, Q, LAYOUT), {"path": "triton"}, "needs a CUDA device, got cpu: path='auto' takes"),
    ((Q, Q, Q, LAYOUT), {"path": "flex", "remainder": "mean"}, "no log-sum-exp on a CPU"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), MISFITS)
def test_what_does_not_fit_is_refused(arguments, options, message):
    with pytest.raises(KernelArgumentError, match=message):
        block_sparse_attention(*arguments, **options)


CUDA = torch.device("cuda")
GPU_OBSTACLES = [
    ("triton", 64, 64, torch.float32, "made for half precision, got torch.float32"),
    ("triton", 48, 64, torch.float16, "takes blocks of .* tokens, got 48"),
    ("triton", 64, 80, torch.float16, "takes heads of .* columns, got 80"),
    ("flex", 48, 64, torch.float16, "blocks of a multiple of 64"),
    ("gathered", 64, 64, torch.float32, "made for the caches of a CPU, got cuda"),
]


@pytest.mark.parametrize(("path", "block", "head_dim", "dtype", "reason"), GPU_OBSTACLES)
def test_a_path_says_why_it_cannot_run(path, block, head_dim, dtype, reason):
    layout = make_layout(ALL, 3 * block, block)
    obstacle = PATHS[path].find_obstacle(CUDA, dtype, head_dim, layout, "mean")
    assert obstacle is not None
    assert re.search(reason, obstacle)


def test_without_triton_it_runs_on_a_cpu():
    """Nor is triton imported to find that out."""
    script = """
import sys
sys.modules["triton"] = None
import torch
from sol.kernels.block_sparse_attention import block_sparse_attention, make_layout
x = torch.ones(1, 1, 8, 4)
layout = make_layout(torch.eye(2, dtype=torch.bool)[None, None], 8, 4)
assert torch.equal(block_sparse_attention(x, x, x, layout), x)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
