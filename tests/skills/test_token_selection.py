"""Which tokens are kept: scores of hidden states, of outputs, and none at all."""

from __future__ import annotations

import pytest
import torch
from token_calls import GRID, a_call

from sol.clock import Clock
from sol.roles import TokenGrid
from sol.skills.token_pruning.selection.by_hidden_states import HIDDEN_SCORES, ByHiddenStates
from sol.skills.token_pruning.selection.by_output_change import ByOutputChange
from sol.skills.token_pruning.selection.by_position import AtRandom, EvenlySpaced
from sol.skills.token_pruning.selection.output_tokens import mean_by_token
from sol.skills.token_pruning.selection.selection import count_kept

N_TOKENS = GRID.n_tokens
HIDDEN = torch.zeros(1, N_TOKENS, 8)


def at_step(step):
    clock = Clock()
    clock.begin_video(20)
    clock.step = step
    return clock


def outputs(n_batch=1):
    """Of a denoiser that cuts no patches."""
    return torch.zeros(n_batch, 4, *GRID.sizes)


@pytest.mark.parametrize(("keep", "n"), [(1.0, 48), (0.5, 24), (0.26, 12), (0.001, 1)])
def test_a_share_is_rounded_and_never_none(keep, n):
    assert count_kept(keep, 48) == n


@pytest.mark.parametrize("score", HIDDEN_SCORES)
def test_hidden_states_that_stand_out_are_kept(score):
    hidden = torch.ones(2, N_TOKENS, 8)
    hidden[0, [40, 3]] = torch.tensor([9.0, -9.0] * 4)
    hidden[1, [5, 6]] = torch.tensor([7.0, -8.0] * 4)
    rows = ByHiddenStates(score, keep=2 / N_TOKENS).choose(a_call(n_samples=2), hidden)
    assert rows.tolist() == [[3, 40], [5, 6]]


@pytest.mark.parametrize("score", HIDDEN_SCORES)
def test_both_branches_of_guidance_have_one_say(score):
    """What stands out in one of them is weighed against what does in the other."""
    hidden = torch.zeros(4, N_TOKENS, 8)
    spread = torch.tensor([1.0, -1.0] * 4)
    # Two samples, each in both halves.
    hidden[0, 10], hidden[2, 20] = 3 * spread, 4 * spread
    hidden[1, 10], hidden[3, 20] = 5 * spread, 4 * spread
    rows = ByHiddenStates(score, 1 / N_TOKENS).choose(a_call(n_samples=2, branch="both"), hidden)
    assert rows.tolist() == [[20], [10]]


def test_the_tokens_whose_output_changed_most_are_kept():
    selection = ByOutputChange(keep=2 / N_TOKENS, layout=None)
    call = a_call()
    before, now = outputs(), outputs()
    before[0, :, 1, 3, 5], now[0, :, 1, 3, 5] = 100.0, 100.0
    now[0, 0, 0, 0, 2], now[0, 1, 1, 0, 0] = -1.0, 2.0
    selection.observe(call, before, None)
    assert selection.choose(call, HIDDEN) is None, "one output has not changed"
    selection.observe(call, now, None)
    assert selection.choose(call, HIDDEN).tolist() == [[2, 24]]
    assert selection.bytes_held == before.nbytes + 4 * N_TOKENS
    selection.forget()
    assert selection.choose(call, HIDDEN) is None
    assert selection.bytes_held == 0


def test_outputs_of_another_shape_are_not_compared():
    selection = ByOutputChange(keep=0.5, layout=None)
    for n_batch in (1, 1, 2):
        selection.observe(a_call(n_samples=n_batch), outputs(n_batch), None)
    assert selection.choose(a_call(n_samples=2), HIDDEN) is None


def test_a_token_has_the_mean_of_its_patch():
    values = torch.zeros(1, 2, 4, 6)
    values[0, 1, 2:, 2:4] = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    means = mean_by_token(values, a_call(grid=TokenGrid(2, 2, 3)))
    assert means.tolist() == [[0.0] * 10 + [3.0, 0.0]]


@pytest.mark.parametrize("keep", [0.1, 0.3, 0.5, 0.8])
def test_even_spacing_gives_every_token_its_turn(keep):
    n_kept = count_kept(keep, N_TOKENS)
    times = torch.zeros(N_TOKENS, dtype=torch.long)
    for step in range(20):
        rows = EvenlySpaced(keep, at_step(step)).choose(a_call(), HIDDEN)
        gaps = rows.diff(dim=1)
        assert rows.shape == (1, n_kept)
        assert gaps.min() >= N_TOKENS // n_kept
        assert gaps.max() <= -(-N_TOKENS // n_kept)
        times[rows[0]] += 1
    assert times.min() > 0
    assert times.max() - times.min() <= 4


def test_chance_is_of_the_seed_and_the_step_alone():
    def draw(seed, step):
        return AtRandom(0.5, seed, at_step(step)).choose(a_call(), HIDDEN).tolist()

    state = torch.get_rng_state()
    assert draw(1, 4) == draw(1, 4)
    assert draw(1, 4) != draw(1, 5)
    assert draw(1, 4) != draw(2, 4)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "selection",
    [ByHiddenStates("l1", 1.0), EvenlySpaced(1.0, at_step(3)), AtRandom(1.0, 0, at_step(3))],
    ids=["hidden", "even", "random"],
)
def test_all_tokens_are_no_choice(selection):
    assert selection.choose(a_call(), HIDDEN) is None
