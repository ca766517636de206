"""What is remembered of each token: rows taken and put, histories that differ by token."""

from __future__ import annotations

import pytest
import torch

from sol.skills.token_pruning.memory.token_memory import TokenMemory
from sol.skills.token_pruning.reduction.token_rows import (
    for_batch,
    other_rows,
    put_rows,
    take_rows,
)

ONE_SET = torch.tensor([[0, 2, 5]])
SET_A_SAMPLE = torch.tensor([[0, 2, 5], [1, 2, 3]])


def numbered(n_batch, *more):
    return torch.arange(n_batch * 6 * 4).view(n_batch, 6, 4, *more).float()


@pytest.mark.parametrize(
    ("n_batch", "rows", "of_batch"),
    [
        (1, ONE_SET, [0]),
        (2, ONE_SET, [0, 0]),
        (2, SET_A_SAMPLE, [0, 1]),
        (4, SET_A_SAMPLE, [0, 1, 0, 1]),
    ],
    ids=["one", "both branches of one", "two samples", "both branches of two"],
)
def test_rows_are_taken_and_put_where_they_belong(n_batch, rows, of_batch):
    tensor = numbered(n_batch)
    expected = torch.stack([tensor[i, rows[sample]] for i, sample in enumerate(of_batch)])
    rows = for_batch(rows, n_batch)
    assert torch.equal(take_rows(tensor, rows), expected)
    put_rows(tensor, rows, -expected)
    assert torch.equal(take_rows(tensor, rows), -expected)
    others = take_rows(tensor, other_rows(rows, 6))
    assert torch.equal(others, take_rows(numbered(n_batch), other_rows(rows, 6)))


def test_a_table_for_the_whole_batch_becomes_one_for_each_sample():
    table = numbered(1)
    assert take_rows(table, ONE_SET).shape == (1, 3, 4)
    taken = take_rows(table, for_batch(SET_A_SAMPLE, 4))
    assert taken.shape == (4, 3, 4)
    assert torch.equal(taken[3], table[0, SET_A_SAMPLE[1]])


def test_other_rows_are_all_others_in_order():
    assert other_rows(SET_A_SAMPLE, 6).tolist() == [[1, 3, 4], [0, 4, 5]]


ALL = torch.arange(6)[None]
START, SLOPE = torch.randn(2, 2, 6, 4, generator=torch.Generator().manual_seed(0))


def on_line(position, rows=ALL):
    return take_rows(START + position * SLOPE, rows)


def test_what_moves_on_a_line_is_predicted_whenever_each_token_was_computed():
    memory = TokenMemory(is_linear=True)
    memory.keep_all(on_line(1.0), 1.0)
    memory.keep_all(on_line(0.9), 0.9)
    memory.keep_some(on_line(0.7, ONE_SET), 0.7, ONE_SET)
    memory.keep_some(on_line(0.6, SET_A_SAMPLE), 0.6, SET_A_SAMPLE)
    torch.testing.assert_close(memory.predict(0.2, ALL), on_line(0.2))


def test_without_a_line_a_token_is_what_it_last_was():
    memory = TokenMemory(is_linear=False)
    memory.keep_all(on_line(1.0), 1.0)
    memory.keep_all(on_line(0.9), 0.9)
    memory.keep_some(on_line(0.7, ONE_SET), 0.7, ONE_SET)
    others = other_rows(ONE_SET, 6)
    assert torch.equal(memory.predict(0.5, ONE_SET), on_line(0.7, ONE_SET))
    assert torch.equal(memory.predict(0.5, others), on_line(0.9, others))


@pytest.mark.parametrize("positions", [(1.0,), (1.0, 1.0)], ids=["computed once", "at one place"])
def test_one_point_is_no_line(positions):
    memory = TokenMemory(is_linear=True)
    for position in positions:
        memory.keep_all(on_line(position), position)
    assert torch.equal(memory.predict(0.5, ALL), on_line(1.0))


def test_a_second_point_may_come_after_one_of_all_tokens():
    """Some tokens have a line then, the others a point."""
    memory = TokenMemory(is_linear=True)
    memory.keep_all(on_line(1.0), 1.0)
    memory.keep_some(on_line(0.8, ONE_SET), 0.8, ONE_SET)
    others = other_rows(ONE_SET, 6)
    torch.testing.assert_close(memory.predict(0.5, ONE_SET), on_line(0.5, ONE_SET))
    torch.testing.assert_close(memory.predict(0.5, others), on_line(1.0, others))


@pytest.mark.parametrize("is_linear", [True, False])
def test_completed_are_those_given_and_those_predicted(is_linear):
    memory = TokenMemory(is_linear)
    memory.keep_all(on_line(1.0), 1.0)
    memory.keep_all(on_line(0.9), 0.9)
    others = other_rows(SET_A_SAMPLE, 6)
    expected = memory.predict(0.3, others)
    given = torch.arange(24.0).view(2, 3, 4)
    completed = memory.complete(given, 0.3, SET_A_SAMPLE)
    assert torch.equal(take_rows(completed, SET_A_SAMPLE), given)
    assert torch.equal(take_rows(completed, others), expected)
    assert torch.equal(memory.predict(0.3, SET_A_SAMPLE), given)


def test_values_may_have_further_axes():
    """Keys have heads."""
    memory = TokenMemory(is_linear=True)
    heads = numbered(2, 1).expand(2, 6, 4, 3)
    memory.keep_all(heads * 1.0, 1.0)
    memory.keep_all(heads * 0.9, 0.9)
    torch.testing.assert_close(
        memory.predict(0.5, SET_A_SAMPLE), take_rows(heads, SET_A_SAMPLE) / 2
    )


@pytest.mark.parametrize("is_linear", [True, False])
def test_a_step_may_have_another_precision(is_linear):
    """As where autocast keeps the first steps in full."""
    memory = TokenMemory(is_linear)
    memory.keep_all(on_line(1.0), 1.0)
    memory.keep_all(on_line(0.9).bfloat16(), 0.9)
    memory.keep_some(on_line(0.8, ONE_SET), 0.8, ONE_SET)
    given = on_line(0.7, ONE_SET)
    assert memory.complete(given.bfloat16(), 0.7, ONE_SET).dtype == torch.bfloat16
    completed = memory.complete(given, 0.7, ONE_SET)
    assert completed.dtype == torch.float32
    expected = on_line(0.7) if is_linear else on_line(0.9)
    put_rows(expected, ONE_SET, given)
    torch.testing.assert_close(completed, expected, rtol=0.0, atol=0.1)


@pytest.mark.parametrize(("is_linear", "n_held"), [(True, 2), (False, 1)])
def test_what_is_held_is_counted(is_linear, n_held):
    memory = TokenMemory(is_linear)
    assert memory.nbytes == 0
    for position in (1.0, 0.9, 0.8):
        memory.keep_all(on_line(position), position)
    values, positions = START.nbytes, 2 * 6 * 4
    assert memory.nbytes == n_held * (values + positions)
