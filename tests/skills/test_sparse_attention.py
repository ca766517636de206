"""Sparse attention on pipelines: what it computes, when it chooses, what it leaves alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from contracts.models import PLAIN, denoise, get_model
from sparsity_examples import ATTENTION
from tiny_models import build_tiny, build_tiny_experts, tiny_workload

from sol.attention_routing import route_attention
from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import ConfigError, ConflictError, NoEffectError, NotApplicableError
from sol.kernels.block_sparse_attention import PATHS
from sol.models.families import describe_roles
from sol.roles import TokenGrid
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.schedule import Schedule
from sol.skills.registry import TECHNIQUES, get_technique
from sol.skills.sparse_attention.block_choice import choose_blocks
from sol.skills.sparse_attention.fixed_pattern import FixedPattern
from sol.skills.sparse_attention.selection.topk import choose_top_blocks
from sol.skills.sparse_attention.sequence.blocks import make_sequence
from sol.skills.sparse_attention.settings import SparseSettings
from sol.skills.sparse_attention.sparse_site import Counts, SparseSite, Sparsity
from sol.technique import SpaceContext, StackItem, parse_config

SPARSE = sorted(name for name, t in TECHNIQUES.items() if t.skill == "sparse_attention")


def stack(name="topk_blocks", schedule=None, **config):
    return (StackItem(name, {"block": 16, **config}, schedule or Schedule()),)


def counts_of(pipeline, workload, stack, *calls):
    with install_stack(pipeline, stack) as applied:
        for call in calls or (PLAIN,):
            denoise(pipeline, workload, call)
        return applied.evidence()[stack[0].technique].counts


@pytest.fixture
def ltx():
    return build_tiny("ltx")


@pytest.fixture
def workload():
    return tiny_workload("ltx")


def a_site(settings, grid, density=0.3):
    """A site by itself that keeps the nearest blocks, at step 0 of 8."""
    clock = Clock()
    clock.begin_video(8, [1 - step / 8 for step in range(8)])
    pattern = FixedPattern(
        lambda place: -(place.sequence.centres[:, None, 0] - place.sequence.centres[:, 0]).abs(),
        density,
    )
    sparsity = Sparsity(settings, pattern, Schedule(), clock, Counts(), lambda: grid)
    return SparseSite(0, sparsity), clock


class BestBlocks:
    """By the scores of their means, in every step anew."""

    refresh = 1

    def choose(self, place, query, key, value):
        return choose_top_blocks(query, key, place.sequence.block, density=0.3)


def dense(query, key, value):
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)


GRIDS = {
    "divides": TokenGrid(4, 4, 4),
    "does not divide": TokenGrid(3, 5, 7),
    "text before": TokenGrid(2, 5, 6, n_before=7),
    "text around": TokenGrid(3, 4, 5, n_before=3, n_after=20),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("order", ["raster", "tiles", "hilbert", "morton"])
@pytest.mark.parametrize("remainder", ["drop", "mean"])
def test_a_site_equals_masked_dense_attention(grid, order, remainder):
    """Against float64 with the same blocks, whatever the order of the tokens."""
    settings = SparseSettings(block=16, order=order, remainder=remainder)
    site, clock = a_site(settings, grid)
    query, key, value = torch.randn(3, 2, grid.n_tokens, 3, 8).unbind(0)
    output = site.attend(query, key, value, dense)
    sequence = make_sequence(grid, order, 16)
    arranged = [sequence.arrange(x).double() for x in (query, key, value)]
    choice = choose_blocks(site.sparsity.pattern, settings, clock, 0, sequence, arranged)
    expected = PATHS["reference"].attend(*arranged, choice.layout, remainder, 8**-0.5)
    assert choice.n_left_out > 0
    torch.testing.assert_close(output.double(), sequence.restore(expected), rtol=0, atol=2e-6)


@pytest.mark.parametrize("grid", [GRIDS["text before"], GRIDS["text around"]])
def test_text_attends_to_all_and_all_attend_to_text(grid):
    """A text token's output is the dense one; a change of a text key reaches every token."""
    site, _ = a_site(SparseSettings(block=16, remainder="drop"), grid, density=0.1)
    query, key, value = torch.randn(3, 1, grid.n_tokens, 2, 8).unbind(0)
    is_text = torch.ones(grid.n_tokens, dtype=torch.bool)
    is_text[grid.n_before : grid.n_tokens - grid.n_after] = False
    output, full = site.attend(query, key, value, dense), dense(query, key, value)
    torch.testing.assert_close(output[:, is_text], full[:, is_text])
    assert (output - full).abs()[:, ~is_text].max() > 1e-2
    value[:, is_text] += 1
    moved = site.attend(query, key, value, dense) - output
    assert (moved.abs().amax((0, 2, 3)) > 1e-4).all()


def test_a_correction_makes_up_for_what_is_left_out():
    """Dense at the first step, and where nothing changes, in the steps between as well."""
    grid = GRIDS["divides"]
    settings = SparseSettings(block=16, remainder="drop", correct_every=3)
    site, clock = a_site(settings, grid)
    query, key, value = torch.randn(3, 1, grid.n_tokens, 2, 8).unbind(0)
    full = dense(query, key, value)
    assert torch.equal(site.attend(query, key, value, dense), full)
    for _ in range(2):
        clock.advance()
        torch.testing.assert_close(site.attend(query, key, value, dense), full)
    assert site.bytes_held == full.nbytes
    clock.advance()
    assert torch.equal(site.attend(query, key, value, dense), full)
    assert site.sparsity.counts.dense == 2


def test_a_correction_of_order_one_follows_what_changes_evenly():
    """Values that move along the noise level: their output does too, and so what is lacking."""
    grid = GRIDS["divides"]
    settings = SparseSettings(block=16, remainder="drop", correct_every=2, correct_order=1)
    site, clock = a_site(settings, grid)
    query, key, value, drift = torch.randn(4, 1, grid.n_tokens, 2, 8).unbind(0)
    errors = []
    for _ in range(6):
        now = value + clock.position * drift
        output = site.attend(query, key, now, dense)
        errors.append(float((output - dense(query, key, now)).abs().max()))
        clock.advance()
    # Steps 0, 2 and 4 are dense; step 1 has seen one step only.
    assert errors[1] > 1e-3
    assert max(errors[3], errors[5]) < 1e-5


def test_nothing_is_computed_for_a_correction_that_no_step_would_use():
    grid = GRIDS["divides"]
    site, clock = a_site(SparseSettings(block=16, correct_every=7, dense_last=0), grid)
    query, key, value = torch.randn(3, 1, grid.n_tokens, 2, 8).unbind(0)
    for _ in range(8):
        site.attend(query, key, value, dense)
        clock.advance()
    # Dense at 0 and 7; the latter is the last.
    assert (site.sparsity.counts.dense, site.sparsity.counts.sparse) == (2, 7)


@pytest.mark.parametrize("name", SPARSE)
def test_steps_at_the_edges_and_first_layers_are_dense(name, ltx, workload):
    counts = counts_of(
        ltx, workload, stack(name, density=0.3, dense_first=3, dense_last=1, dense_layers=1)
    )
    assert counts["attentions_sparse"] == (8 - 4) * 3
    assert counts["attentions_dense"] == 4 * 3


def test_a_schedule_limits_steps_and_layers(ltx, workload):
    counts = counts_of(ltx, workload, stack(schedule=Schedule(steps="2-4", layers="3")))
    assert counts["attentions_sparse"] == 3


def test_blocks_are_chosen_anew_when_they_are_due(ltx, workload):
    counts = counts_of(ltx, workload, stack(refresh=3, density=0.3))
    assert counts["choices_of_blocks"] == 3 * 4


def test_a_choice_that_was_due_in_a_skipped_step_is_made_in_the_next(ltx, workload):
    """Steps 3 and 6 would choose; 3 is left out."""
    with install_stack(
        ltx, (*stack(refresh=3, density=0.3), StackItem("step_mask", {"skip": "3"}))
    ) as applied:
        denoise(ltx, workload, PLAIN)
        counts = applied.evidence()["topk_blocks"].counts
    # At 0, 4 and 7.
    assert counts["choices_of_blocks"] == 3 * 4
    assert counts["attentions_sparse"] == 7 * 4


def test_both_calls_of_a_step_choose_for_themselves():
    wan = build_tiny("wan")
    workload = tiny_workload("wan").with_overrides({"num_frames": 17})
    counts = counts_of(wan, workload, stack(refresh=8, density=0.3))
    assert counts["choices_of_blocks"] == 2 * 4


def test_each_video_of_a_batch_has_its_own_blocks():
    """Two samples together are what each is alone, with blocks chosen by their own scores."""
    grid = GRIDS["does not divide"]
    query, key, value = torch.randn(3, 2, grid.n_tokens, 2, 8).mul(3).unbind(0)

    def attend(*rows):
        site, _ = a_site(SparseSettings(block=16), grid)
        site.sparsity = replace(site.sparsity, pattern=BestBlocks())
        return site.attend(query[list(rows)], key[list(rows)], value[list(rows)], dense)

    together = attend(0, 1)
    torch.testing.assert_close(together, torch.cat([attend(0), attend(1)]), rtol=0, atol=2e-6)
    assert (together - dense(query, key, value)).abs().max() > 1e-2


def test_experts_are_sparse_each_in_its_steps():
    pipeline = build_tiny_experts()
    workload = tiny_workload("wan").with_overrides({"num_frames": 17})
    counts = counts_of(pipeline, workload, stack(density=0.3))
    assert counts["attentions_sparse"] == 8 * 4 * 2


def test_only_self_attention_is_sparse(ltx, workload):
    """Text has as many keys as before: its attention is not routed."""
    install_stack(ltx, stack(density=0.3))
    sites = describe_roles(ltx).denoisers[0].attention_sites
    routed = Counter(s.kind for s in sites if s.module.processor._parallel_config is not None)
    assert routed == {"self": 4}


def test_linear_attention_is_refused_with_the_reason():
    with pytest.raises(NotApplicableError, match="self-attention is linear"):
        install_stack(build_tiny("sana_video"), stack())


def test_two_sparse_attentions_do_not_fit_one_site(ltx):
    with pytest.raises(ConflictError, match="already routed"):
        install_stack(ltx, (*stack("radial"), *stack("window3d")))
    site = describe_roles(ltx).denoisers[0].grid_attention[0]
    route_attention(site.module.processor, lambda q, k, v, before: before(q, k, v))()


def test_no_layer_left_is_an_error(ltx):
    with pytest.raises(NoEffectError, match="lower dense_layers"):
        install_stack(ltx, stack(dense_layers=4))


def test_densities_of_another_model_are_refused(ltx, workload):
    install_stack(ltx, stack(densities=[[0.5, 0.5, 0.5]]))
    with pytest.raises(ConfigError, match="densities must have 2 values for block 0"):
        denoise(ltx, workload, PLAIN)


def test_each_head_has_its_density(ltx, workload):
    """Head 0 keeps everything, head 1 one block in three."""
    counts = counts_of(ltx, workload, stack(densities=[[1.0, 0.3]] * 4, remainder="drop"))
    assert counts["blocks_left_out"] / counts["blocks"] == pytest.approx(1 / 3)


def test_the_density_moves_to_its_final_value():
    """pocket's grid has blocks enough to see it: from all of them to a few."""
    model = get_model("pocket")
    pipeline = clone_pipeline(model.pipeline)
    falling = counts_of(pipeline, model.workload, stack(density=1.0, final_density=0.2, refresh=1))
    low = counts_of(pipeline, model.workload, stack(density=0.2, refresh=1))
    shares = [c["blocks_left_out"] / (c["blocks"] + 1) for c in (falling, low)]
    assert 0.3 * shares[1] < shares[0] < 0.8 * shares[1]


def test_a_unit_must_divide_the_block(ltx):
    with pytest.raises(ConfigError, match="unit must divide block"):
        install_stack(ltx, stack(unit=5))


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("attention", [None, ATTENTION], ids=["plain", "diagnosed"])
def test_first_settings_are_configs_of_the_space(name, attention, ltx, workload):
    diagnosis = Diagnosis(1.0, 0.9, 0.3, 0.1, 0.0, attention=attention)
    technique = get_technique(name)
    space = technique.space(SpaceContext(describe_roles(ltx), workload, diagnosis))
    assert space.first
    for first in space.first:
        assert first.keys() == space.knobs.keys()
        parse_config(technique, space.complete(first))


def test_plans_of_the_diagnosis_are_offered_gentlest_first(ltx, workload):
    diagnosis = Diagnosis(1.0, 0.9, 0.3, 0.1, 0.0, attention=ATTENTION)
    context = SpaceContext(describe_roles(ltx), workload, diagnosis)
    space = get_technique("topk_blocks").space(context)
    densities = space.knobs["density"].options
    assert list(densities) == sorted(densities, reverse=True)
    planned = [d for d in densities if space.following({"density": d})]
    assert planned
    for density in planned:
        table = space.following({"density": density})["densities"]
        assert np.mean(table) == pytest.approx(density, abs=1e-3)


@pytest.mark.slow
def test_sparse_attention_inside_of_compiled_blocks(ltx, workload):
    """The choice of blocks goes on changing, and no block falls out of compiled code."""
    eager = denoise(clone_with(ltx, stack(density=0.3, refresh=2)), workload, PLAIN)
    for region in ("regional_compile", "full_compile"):
        pipeline = clone_pipeline(ltx)
        items = (*stack(density=0.3, refresh=2), StackItem(region))
        with install_stack(pipeline, items) as applied:
            compiled = denoise(pipeline, workload, PLAIN)
            counts = applied.evidence()
        assert counts[region].counts.get("eager_calls", 0) == 0
        assert counts["topk_blocks"].counts["choices_of_blocks"] == 4 * 4
        assert np.abs(compiled - eager).max() < 1e-3
        torch._dynamo.reset()


def clone_with(pipeline, items):
    clone = clone_pipeline(pipeline)
    install_stack(clone, items)
    return clone
