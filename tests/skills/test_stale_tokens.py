"""stale_tokens: what is frozen, when it thaws, and how many shapes that makes."""

from __future__ import annotations

import pytest
import torch
from example_prompts import PROMPT
from token_calls import GRID, a_call

from sol.clock import Clock
from sol.roles import LatentGrid
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.skills.token_pruning.pruning.stale_tokens import StaleTokensConfig, Stillness
from sol.technique import StackItem

N_TOKENS = GRID.n_tokens
EIGHTH = N_TOKENS // 8
HIDDEN = torch.zeros(1, N_TOKENS, 8)
SIGMAS = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
GIVEN = torch.randn(1, 4, *GRID.sizes, generator=torch.Generator().manual_seed(0))


class Run:
    """Steps of a denoiser whose clean latents are said."""

    def __init__(self, sigmas=SIGMAS, layout=None, **config):
        self.clock = Clock()
        self.clock.begin_video(len(SIGMAS), sigmas)
        self.stillness = Stillness(StaleTokensConfig(**config), layout, self.clock)

    def step(self, clean, rows=None, further_channels=0):
        """v = (x_t - x0) / sigma, whatever x_t is."""
        sigma = self.clock.sigma or 1.0
        noisy = GIVEN * (1 + self.clock.step)
        latents = torch.cat([noisy, noisy[:, :further_channels]], dim=1)
        self.stillness.observe(a_call(latents), (noisy - clean) / sigma, rows)
        self.clock.advance()

    def choose(self):
        return self.stillness.choose(a_call(), HIDDEN)


def moved(tokens, by=1.0):
    clean = torch.ones(1, 4, *GRID.sizes)
    clean.flatten(2)[0, :, tokens] += by
    return clean


STILL = moved([])
BUSY = list(range(10, 10 + EIGHTH))
REST = [token for token in range(N_TOKENS) if token not in BUSY]


def run_until_frozen(**config):
    """All tokens but the busy ones are still for two steps."""
    run = Run(**{"tau": 0.1, "patience": 2, **config})
    for by in (0.0, 1.0, 2.0):
        run.step(moved(BUSY, by))
    return run


def test_tokens_that_are_still_long_enough_are_frozen():
    run = Run(tau=0.1, patience=2)
    run.step(STILL)
    assert run.choose() is None, "one step is no change"
    run.step(moved(BUSY))
    assert run.choose() is None, "still for one step"
    run.step(moved(BUSY, 2.0))
    assert run.choose().tolist() == [BUSY]


def test_a_change_is_weighed_against_all_of_the_picture():
    """One token moves by its own size, which is little beside the others'."""
    small = STILL.clone()
    small.flatten(2)[0, :, 5] = 0.01
    run = Run(tau=0.1, patience=1)
    run.step(small)
    small = small.clone()
    small.flatten(2)[0, :, 5] = 0.02
    run.step(small)
    assert run.stillness.n_still.min() == 1


def test_what_a_frozen_token_was_predicted_to_be_says_nothing():
    """It moves, but it was not computed: it stays frozen."""
    run = run_until_frozen()
    run.step(moved(REST, 5.0), rows=run.choose())
    assert run.stillness.n_still[0, REST].min() == 2


def test_a_frozen_token_thaws_where_a_refresh_finds_it_moved():
    run = run_until_frozen()
    run.step(moved([*BUSY, 40], 3.0), rows=None)
    rows = run.choose()
    assert {*BUSY, 40} <= set(rows[0].tolist())
    run.step(moved([*BUSY, 40], 3.0), rows=None)
    assert run.stillness.n_still[0, 40] == 1


@pytest.mark.parametrize(
    ("n_busy", "n_kept"),
    [(0, EIGHTH), (1, EIGHTH), (EIGHTH, EIGHTH), (EIGHTH + 1, 2 * EIGHTH), (40, 42), (43, None)],
)
def test_the_number_is_a_multiple_of_an_eighth(n_busy, n_kept):
    """And the places that are left go to those that moved most."""
    run = Run(tau=0.1, patience=2)
    busy = list(range(n_busy))
    for by in (0.0, 1.0, 2.0):
        clean = moved(busy, by)
        clean.flatten(2)[0, :, 47] += 0.01 * by
        run.step(clean)
    rows = run.choose()
    if n_kept is None:
        assert rows is None
        return
    assert rows.shape == (1, n_kept)
    assert set(busy) <= set(rows[0].tolist())
    if n_kept > n_busy:
        assert 47 in rows[0].tolist()


def test_without_noise_levels_nothing_is_frozen():
    run = Run(sigmas=(), tau=9.0)
    for _ in range(4):
        run.step(STILL)
    assert run.choose() is None


def test_channels_behind_those_of_the_output_are_not_latents():
    run = Run(tau=0.1, patience=1)
    run.step(STILL, further_channels=2)
    run.step(moved(BUSY), further_channels=2)
    assert run.choose().tolist() == [BUSY]


def test_latents_and_outputs_may_be_sequences():
    layout = LatentGrid(
        lambda tokens, args, kwargs: tokens.transpose(1, 2).unflatten(2, GRID.sizes), lambda g: g
    )
    run = Run(layout=layout, tau=0.1, patience=1)
    for clean in (STILL, moved(BUSY)):
        x, v = (t.flatten(2).transpose(1, 2) for t in (GIVEN, (GIVEN - clean) / run.clock.sigma))
        run.stillness.observe(a_call(x), v, None)
        run.clock.advance()
    assert run.choose().tolist() == [BUSY]


def test_a_video_settles(pipeline, workload):
    """Of the pocket model fewer and fewer tokens are computed, in few numbers."""
    config = {"tau": 0.3, "patience": 1, "warmup": 2, "refresh": 8}
    applied = install_stack(pipeline, (StackItem("stale_tokens", config),))
    seen = []
    pipeline.transformer.transformer_blocks[0].inner.register_forward_pre_hook(
        lambda _m, _a, kwargs: seen.append(kwargs["hidden_states"].shape[1]), with_kwargs=True
    )
    render(pipeline, workload, PROMPT, 0)
    reduced = seen[2:-1]
    assert applied.evidence()["stale_tokens"].engaged
    assert seen[:2] == [320, 320]
    assert seen[-1] == 320
    assert min(reduced) < 320
    assert all(n % 40 == 0 for n in reduced)
