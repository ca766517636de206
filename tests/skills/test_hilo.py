"""HiLo-Token: of a given frame the detail is computed, the rest by the cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contracts.models import get_model
from diffusers import LTXImageToVideoPipeline
from example_prompts import OTHER_PROMPT, PROMPT
from PIL import Image
from tiny_models import build_tiny_from_image

from sol.errors import NoEffectError, NotApplicableError
from sol.roles import TokenGrid
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.schedule import Schedule
from sol.skills.token_pruning.hilo.flat_tokens import find_far, find_flat, sobel_magnitude
from sol.skills.token_pruning.hilo.merged_cells import merge_cells
from sol.technique import StackItem

# 3 latent frames of 4 x 8 tokens, the first of which is given.
N_TOKENS, N_GIVEN, N_STEPS = 96, 32, 8


def stack(schedule=None, **config):
    return (StackItem("hilo", config, schedule or Schedule()),)


def half_flat(seed=0):
    """Flat on the left, noise on the right."""
    pixels = np.full((32, 64, 3), 128, dtype=np.uint8)
    pixels[:, 32:] = np.random.default_rng(seed).integers(0, 256, (32, 32, 3))
    return Image.fromarray(pixels)


def denoise(pipeline, images=(0,), prompts=(PROMPT,), seed=0):
    with torch.no_grad():
        return pipeline(
            image=[half_flat(each) for each in images],
            prompt=list(prompts),
            generator=torch.Generator().manual_seed(seed),
            height=32,
            width=64,
            num_frames=9,
            num_inference_steps=N_STEPS,
            max_sequence_length=16,
            output_type="latent",
        ).frames


BATCH = {"images": (1, 0), "prompts": (OTHER_PROMPT, PROMPT), "seed": 2}


@pytest.fixture(scope="module")
def original():
    return build_tiny_from_image()


@pytest.fixture
def pipeline(original):
    return clone_pipeline(original)


@pytest.fixture(scope="module")
def baseline(original):
    return denoise(original)


@pytest.fixture
def trained():
    """With an encoder that tells flat from noisy: the tiny one's is random."""
    pipeline = LTXImageToVideoPipeline(**get_model("pocket").pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    return clone_pipeline(pipeline)


def test_what_is_flat_is_merged_and_the_detail_is_kept(trained):
    """The three columns of tokens that see nothing but flat pixels; all else stays as it is."""
    before, inside = [], []
    trained.transformer.proj_in.register_forward_hook(lambda _m, _a, out: before.append(out))
    trained.transformer.transformer_blocks[0].register_forward_pre_hook(
        lambda _m, _a, kwargs: inside.append(kwargs["hidden_states"]), with_kwargs=True
    )
    with install_stack(trained, stack(percentile=37.5, stride=2)) as applied:
        denoise(trained)
        counts = applied.evidence()["hilo"].counts
    expected = torch.ones(3, 4, 8, dtype=torch.bool)
    expected[0, :, :3] = False
    for full, reduced in zip(before, inside, strict=True):
        is_kept = (full[0, :, None] == reduced[0]).all(-1).any(-1)
        assert torch.equal(is_kept.view_as(expected), expected)
        assert reduced.shape[1] == N_TOKENS - 12 + 4
    assert counts["tokens_left_out"] == 2 * N_STEPS * (12 - 4)
    assert counts["tokens_computed"] == 2 * N_STEPS * (N_TOKENS - 8)


@pytest.mark.parametrize(
    ("config", "n_left_out"),
    [
        ({"percentile": 100.0, "stride": 2}, N_GIVEN - 8),
        ({"percentile": 100.0, "stride": 3}, N_GIVEN - 6),
        ({"percentile": 100.0, "stride": 9}, N_GIVEN - 1),
        ({"percentile": 100.0, "stride": 9, "dilate": 5}, N_GIVEN - 1),
    ],
)
def test_cells_of_the_given_frame(pipeline, config, n_left_out):
    """Nothing is generated in that frame, however far one looks."""
    with install_stack(pipeline, stack(**config)) as applied:
        denoise(pipeline)
        assert applied.evidence()["hilo"].counts["tokens_left_out"] == 2 * N_STEPS * n_left_out


def test_the_given_frame_stays_and_the_others_change(pipeline, baseline):
    with install_stack(pipeline, stack(percentile=90.0, stride=4)):
        video = denoise(pipeline)
    assert torch.equal(video[:, :N_GIVEN], baseline[:, :N_GIVEN])
    assert not torch.equal(video[:, N_GIVEN:], baseline[:, N_GIVEN:])


@pytest.mark.parametrize("config", [{"percentile": 0.0}, {"percentile": 90.0, "stride": 1}])
def test_nothing_left_out_is_the_baseline_and_an_error(pipeline, baseline, config):
    with (
        pytest.raises(NoEffectError, match="hilo never engaged"),
        install_stack(pipeline, stack(**config)),
    ):
        assert torch.equal(denoise(pipeline), baseline)


def test_undo_is_exact(pipeline, baseline):
    before = fingerprint_pipeline(pipeline)
    applied = install_stack(pipeline, stack())
    assert not torch.equal(denoise(pipeline), baseline)
    applied.undo()
    assert fingerprint_pipeline(pipeline) == before
    assert torch.equal(denoise(pipeline), baseline)


def test_no_state_crosses_videos_nor_batches(pipeline, original):
    def fresh(**call):
        clone = clone_pipeline(original)
        with install_stack(clone, stack()):
            return denoise(clone, **call)

    install_stack(pipeline, stack())
    for call in ({}, BATCH, {}):
        assert torch.equal(denoise(pipeline, **call), fresh(**call))


def test_steps_and_layers_of_the_schedule(pipeline):
    schedule = Schedule(steps="2-4", layers="1-2")
    with install_stack(pipeline, stack(schedule, percentile=100.0, stride=2)) as applied:
        denoise(pipeline)
        counts = applied.evidence()["hilo"].counts
    assert counts["tokens_left_out"] == 2 * 3 * (N_GIVEN - 8)
    assert (counts["calls_reduced"], counts["calls_full"]) == (3, N_STEPS - 3)


def test_a_pipeline_that_is_given_nothing_is_refused():
    pipeline = clone_pipeline(get_model("ltx").pipeline)
    with pytest.raises(NotApplicableError, match="makes the whole video: no token is given"):
        install_stack(pipeline, stack())


def test_the_sobel_magnitude_of_a_ramp_and_of_an_edge():
    """8 pixels' weights times the slope, all along; 4 beside a step of 1 that lies between two."""
    columns = torch.arange(6.0).expand(1, 2, 1, 5, 6)
    assert torch.equal(sobel_magnitude(columns)[0, 0, :, 1:-1], torch.full((5, 4), 8.0))
    assert torch.equal(sobel_magnitude(columns.mT)[0, 0, 1:-1], torch.full((4, 5), 8.0))
    edge = (columns > 2).float()
    assert torch.equal(sobel_magnitude(edge)[0, 0, 0], torch.tensor([0.0, 0, 4, 4, 0, 0]))


@pytest.mark.parametrize("dilate", [0, 1, 2])
def test_what_is_near_generated_tokens_in_their_frame_is_kept(dilate):
    is_given = torch.ones(2, 7, 9, dtype=torch.bool)
    is_given[0, 3, 4] = False
    is_far = find_far(is_given, dilate)
    expected = torch.ones(2, 7, 9, dtype=torch.bool)
    expected[0, 3 - dilate : 4 + dilate, 4 - dilate : 5 + dilate] = False
    assert torch.equal(is_far, expected)


def test_what_is_detail_in_one_video_of_a_batch_is_kept_in_all():
    is_candidate = torch.tensor([True, True, False, True, True])
    magnitude = torch.tensor([[1.0, 2, 0, 3, 4], [4.0, 1, 0, 2, 3]])
    first = find_flat(magnitude[:1], is_candidate, 50.0)
    both = find_flat(magnitude, is_candidate, 50.0)
    assert first.tolist() == [True, True, False, False, False]
    assert both.tolist() == [False, True, False, False, False]


def test_a_cell_gets_its_mean_and_shares_what_the_blocks_add():
    """Text around the grid, and the token that stays, are as they would be."""
    grid = TokenGrid(1, 2, 3, n_before=1, n_after=1)
    is_merged = torch.tensor([[[True, True, False], [True, False, True]]])
    cells = merge_cells(is_merged, 2, grid)
    hidden = torch.tensor([0.0, 3, 6, 9, 12, 15, 18, 21]).view(1, 8, 1)
    reduced = cells.reduce(hidden)
    assert reduced.flatten().tolist() == [0, 9, 15, 21, 7, 18]
    assert cells.select(hidden).flatten().tolist() == [0, 9, 15, 21, 3, 18]
    added = torch.tensor([1.0, 2, 3, 4, 5, 6]).view(1, 6, 1)
    expanded = cells.expand(hidden, reduced + added)
    assert (expanded - hidden).flatten().tolist() == [1, 5, 5, 2, 5, 3, 6, 4]
