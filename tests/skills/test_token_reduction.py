"""The run of blocks on fewer tokens: what they are given, and that all tokens come back."""

from __future__ import annotations

import pytest
import torch
from contracts.models import PLAIN, denoise
from example_prompts import PROMPT
from tiny_models import build_tiny, build_tiny_experts, tiny_workload
from token_calls import GRID, a_call, begin_video, call_denoiser

from sol.errors import ConfigError, NoEffectError
from sol.models.families import describe_roles
from sol.roles import TokenGrid
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.token_pruning.pruning.gathered import Gathered, with_text
from sol.skills.token_pruning.pruning.pruning import install_pruning
from sol.skills.token_pruning.pruning.settings import PruningSettings
from sol.technique import StackItem

# Of one sample, and of two that keep other tokens.
ONE_SET = torch.tensor([[0, 1, 7, 20, 30, 47]])
SET_A_SAMPLE = torch.tensor([[0, 1, 7, 20, 30, 47], [2, 3, 5, 11, 13, 46]])


class Fixed:
    """Keeps the same tokens always."""

    bytes_held = 0

    def __init__(self, rows):
        self.rows = rows
        self.branches = []
        self.observed = []

    def choose(self, call, hidden):
        self.branches.append(call.branch)
        return self.rows

    def observe(self, call, result, rows):
        self.observed.append((call.branch, rows is not None))

    def forget(self):
        pass


def build(name):
    if name == "experts":
        return build_tiny_experts()
    if name == "wan with a timestep a token":
        pipeline = build_tiny("wan")
        pipeline.register_to_config(expand_timesteps=True)
        return pipeline
    return build_tiny(name)


def install(roles, clock, rows, schedule=None, **settings):
    """All tokens in the first step, the given ones from then on."""
    selection = Fixed(rows)
    config = PruningSettings(**{"warmup": 1, "tail": 0, "refresh": 8, **settings})
    installed = install_pruning(
        roles, "pruned", config, schedule or Schedule(), clock, lambda _: selection
    )
    return installed, selection


def record_rows(modules):
    """The number of tokens that each module is called with, call by call."""
    seen = []
    for module in modules:
        module.register_forward_pre_hook(
            lambda _m, args, kwargs: seen.append(
                (kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]).shape[1]
            ),
            with_kwargs=True,
        )
    return seen


@pytest.mark.parametrize("family", ["ltx", "wan"])
@pytest.mark.parametrize("layers", ["all", "1-2", "first:1"])
def test_active_blocks_see_the_kept_tokens_and_the_others_all(family, layers):
    pipeline = build(family)
    roles = describe_roles(pipeline)
    clock = begin_video(roles)
    seen = record_rows(roles.denoisers[0].blocks)
    install(roles, clock, ONE_SET, Schedule(layers=layers))
    n_kept, active = ONE_SET.shape[1], Schedule(layers=layers).active_layers(4)
    outputs = [call_denoiser(roles, 2).shape]
    clock.advance()
    outputs.append(call_denoiser(roles, 2).shape)
    assert outputs[0] == outputs[1]
    assert seen[:4] == [GRID.n_tokens] * 4
    assert seen[4:] == [n_kept if index in active else GRID.n_tokens for index in range(4)]


@pytest.mark.parametrize("family", ["ltx", "wan"])
@pytest.mark.parametrize(
    ("n_batch", "branch", "rows"),
    [
        (1, "cond", ONE_SET),
        (2, "both", ONE_SET),
        (2, "cond", SET_A_SAMPLE),
        (4, "both", SET_A_SAMPLE),
    ],
    ids=["one", "both branches of one", "two samples", "both branches of two"],
)
@pytest.mark.parametrize("layers", ["all", "1-3"])
def test_a_call_that_has_not_changed_returns_the_same(family, n_batch, branch, rows, layers):
    """With the keys, values and residuals of the same call before, nothing is lost: each kept
    token keeps its position, its timestep and what it attends to."""
    roles = describe_roles(build(family))
    clock = begin_video(roles)
    clock.branch = branch
    installed, _ = install(
        roles, clock, rows, Schedule(layers=layers), context="remembered", compensation="previous"
    )
    full = call_denoiser(roles, n_batch)
    clock.advance()
    reduced = call_denoiser(roles, n_batch)
    torch.testing.assert_close(reduced, full, rtol=1e-4, atol=1e-5)
    n_kept = rows.shape[1]
    assert installed.evidence().counts["tokens_left_out"] == n_batch * (GRID.n_tokens - n_kept)
    assert not torch.allclose(call_denoiser(roles, n_batch, seed=1), full)


@pytest.mark.parametrize(
    "settings", [{"context": "kept"}, {"compensation": "zero"}], ids=["context", "residuals"]
)
def test_what_is_not_remembered_is_lost(settings):
    """What the test above would miss if it saw nothing."""
    roles = describe_roles(build("ltx"))
    clock = begin_video(roles)
    install(roles, clock, ONE_SET, **settings)
    full = call_denoiser(roles, 2)
    clock.advance()
    assert not torch.allclose(call_denoiser(roles, 2), full, rtol=1e-2, atol=1e-3)


def test_a_timestep_for_each_token_follows_it():
    """Wan 2.2's small model: blocks get (batch, tokens, 6, width)."""
    roles = describe_roles(build("wan with a timestep a token"))
    assert "temb" in roles.denoisers[0].token_arguments
    clock = begin_video(roles)
    install(roles, clock, SET_A_SAMPLE, context="remembered", compensation="previous")
    denoiser = roles.denoisers[0].module
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 2, 8, 12, generator=generator)
    text = torch.randn(2, 5, 32, generator=generator)
    timesteps = torch.linspace(0, 999, 2 * GRID.n_tokens).view(2, -1)

    def call():
        with torch.no_grad():
            return denoiser(latents, timesteps, text, return_dict=False)[0]

    full = call()
    clock.advance()
    torch.testing.assert_close(call(), full, rtol=1e-4, atol=1e-5)


def test_the_unconditional_call_keeps_what_the_conditional_one_chose():
    pipeline = build("wan")
    roles = describe_roles(pipeline)
    clock = begin_video(roles)
    _, selection = install(roles, clock, ONE_SET)
    for _ in range(3):
        for branch in ("cond", "uncond"):
            clock.branch = branch
            call_denoiser(roles, 1)
        clock.advance()
    assert selection.branches == ["cond", "cond"]
    assert selection.observed == [("cond", False), ("cond", True), ("cond", True)]


def test_a_branch_without_a_past_is_computed_in_full():
    """As where something outside leaves its calls out until then."""
    roles = describe_roles(build("wan"))
    clock = begin_video(roles)
    seen = record_rows(roles.denoisers[0].blocks[:1])
    install(roles, clock, ONE_SET)
    clock.branch = "cond"
    call_denoiser(roles, 1)
    clock.advance()
    for branch in ("cond", "uncond"):
        clock.branch = branch
        call_denoiser(roles, 1)
    assert seen == [GRID.n_tokens, ONE_SET.shape[1], GRID.n_tokens]


@pytest.mark.parametrize("begin", ["video", "stage"])
def test_nothing_is_left_out_before_all_tokens_were_computed_anew(begin):
    roles = describe_roles(build("ltx"))
    clock = begin_video(roles)
    seen = record_rows(roles.denoisers[0].blocks[:1])
    install(roles, clock, ONE_SET)
    call_denoiser(roles, 2)
    clock.advance()
    call_denoiser(roles, 2)
    if begin == "stage":
        clock.begin_stage()
    else:
        clock.begin_video(8, is_guided=True)
        clock.advance()
    call_denoiser(roles, 2)
    clock.advance()
    call_denoiser(roles, 2)
    n_kept = ONE_SET.shape[1]
    assert seen == [GRID.n_tokens, n_kept, GRID.n_tokens, n_kept]


def test_steps_are_in_full_at_both_ends_and_once_in_so_many():
    clock = begin_video(describe_roles(build("ltx")), n_steps=14)
    settings = PruningSettings(warmup=3, tail=2, refresh=4)
    assert sorted(settings.reduced_steps(clock, Schedule())) == [3, 4, 5, 7, 8, 9, 11]
    assert settings.reduced_steps(clock, Schedule(steps="5-8")) == {5, 7, 8}


def test_outside_of_a_video_nothing_is_left_out():
    """As in a calibration."""
    roles = describe_roles(build("ltx"))
    clock = begin_video(roles, n_steps=0)
    seen = record_rows(roles.denoisers[0].blocks[:1])
    install(roles, clock, ONE_SET, Schedule(steps="1"))
    call_denoiser(roles, 2)
    call_denoiser(roles, 2)
    assert seen == [GRID.n_tokens] * 2


STACK = {"keep": 0.5, "score": "uniform", "warmup": 1, "tail": 2, "refresh": 3}


def test_blocks_in_two_runs_are_refused():
    pipeline = build("ltx")
    with pytest.raises(ConfigError, match=r"one run, but schedule\.layers is '0,2': write '0-2'"):
        install_stack(pipeline, (StackItem("token_prune", STACK, Schedule(layers="0,2")),))


def test_no_block_at_all_is_no_effect():
    with pytest.raises(NoEffectError, match=r"schedule\.layers is 'none'"):
        install_stack(build("ltx"), (StackItem("token_prune", STACK, Schedule(layers="none")),))


def reducers(pipeline):
    return [d.blocks[0].run.reducer for d in describe_roles(pipeline).denoisers]


@pytest.mark.parametrize("name", ["ltx", "wan", "experts"])
def test_nothing_is_held_behind_the_last_reduced_step(name):
    """The decoder needs the memory more. Each expert has its own."""
    workload = tiny_workload("wan" if name == "experts" else name)
    pipeline = build(name)
    install_stack(pipeline, (StackItem("token_prune", STACK),))
    held = []

    def note(step, latents):
        held.append(max(reducer.bytes_held for reducer in reducers(pipeline)))

    denoise(pipeline, workload, PLAIN, on_step=note)
    # Steps 1, 2 and 4, 5 are reduced.
    assert all(held[:5])
    assert not any(held[5:])


def test_what_does_not_fit_is_computed_in_full():
    pipeline, workload = build("ltx"), tiny_workload("ltx")
    applied = install_stack(pipeline, (StackItem("token_prune", {**STACK, "max_mb": 0.1}),))
    render(pipeline, workload, PROMPT, 0)
    counts = applied.evidence()["token_prune"].counts
    assert counts["not_kept"] > 0
    assert counts["bytes_held"] == counts["tokens_left_out"] == 0
    with pytest.raises(NoEffectError, match="token_prune never engaged"):
        applied.require_engaged()


def test_the_limit_is_what_is_needed():
    """Two branches in a batch, 48 tokens of width 32: two residuals, 2 x 2 x 4 keys and values."""
    pipeline, workload = build("ltx"), tiny_workload("ltx")
    applied = install_stack(pipeline, (StackItem("token_prune", STACK),))
    render(pipeline, workload, PROMPT, 0)
    n_tokens = applied.evidence()["token_prune"].counts["tokens_computed"]
    held = applied.evidence()["token_prune"].counts["bytes_held"]
    tensors = PruningSettings().n_kept_tensors(4) * 2 * GRID.n_tokens * 32 * 4
    assert n_tokens > 0
    assert tensors <= held < 1.1 * tensors


def test_text_in_the_sequence_is_always_kept():
    grid = TokenGrid(1, 2, 3, n_before=2, n_after=3)
    rows = with_text(torch.tensor([[0, 4], [3, 5]]), grid)
    assert rows.tolist() == [[0, 1, 2, 6, 8, 9, 10], [0, 1, 5, 7, 8, 9, 10]]


def test_a_selection_sees_the_grid_alone():
    hidden = torch.arange(11.0).view(1, 11, 1)
    call = a_call(grid=TokenGrid(1, 2, 3, n_before=2, n_after=3))
    assert call.of_grid(hidden).flatten().tolist() == [2, 3, 4, 5, 6, 7]


def test_without_a_memory_a_token_stays_as_it_was():
    hidden = torch.arange(48.0).view(2, 6, 4)
    rows = torch.tensor([[1, 4]])
    gathered = Gathered(rows, None, 0.5)
    expanded = gathered.expand(hidden, gathered.reduce(hidden) + 1)
    assert torch.equal(expanded[:, [1, 4]], hidden[:, [1, 4]] + 1)
    assert torch.equal(expanded[:, [0, 2, 3, 5]], hidden[:, [0, 2, 3, 5]])
