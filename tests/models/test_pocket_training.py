import functools
import itertools

import numpy as np
import pytest
import torch
from diffusers import LTXPipeline
from replica_work import average_ranks

from sol.models.pocket.architecture import build_pipeline
from sol.models.pocket.data.clips import sample_clip
from sol.models.pocket.data.scenes import COLOURS
from sol.models.pocket.training.autoencoder import clips_to_pixels
from sol.models.pocket.training.denoiser import drop_captions, sample_sigma, weigh_objects
from sol.models.pocket.training.latent_pool import LatentPool, PoolSize, tokenize
from sol.models.pocket.training.matmul_attention import MatmulAttention
from sol.models.pocket.training.object_mask import mask_objects, share_of_objects
from sol.models.pocket.training.pacing import Pace, learning_rate_factor
from sol.models.pocket.training.replicas import Replica, run_replicas
from sol.models.pocket.training.run import Options, train
from sol.models.pocket.workload import LONG, MAX_SEQUENCE_LENGTH, SHORT


@pytest.fixture(scope="module")
def untrained() -> LTXPipeline:
    torch.manual_seed(0)
    pipeline = build_pipeline()
    pipeline.vae.eval()
    return pipeline


def test_pace_counts_the_time_before_a_restart():
    clock = itertools.count(0.0, 30.0)
    pace = Pace(budget_s=100.0, spent_s=40.0, now=lambda: next(clock))
    assert pace.progress() == pytest.approx(0.7)
    assert pace.is_over()


def test_learning_rate_rises_then_falls():
    rates = [learning_rate_factor(progress) for progress in (0.0, 0.02, 0.5, 1.0)]
    assert rates[0] < rates[2] < rates[1]
    assert rates[3] == pytest.approx(0.02)


def test_noise_levels_favour_high_noise_and_reach_low():
    torch.manual_seed(0)
    sigma = sample_sigma(4000)
    assert 0 < sigma.min() < 0.02
    assert 0.9 < sigma.max() < 1
    assert sigma.median() > 0.7


@pytest.mark.parametrize("shape", [SHORT, LONG])
def test_the_pool_draws_encoded_clips_with_their_captions(untrained, shape):
    pool = LatentPool(untrained, shape, np.random.default_rng(0), PoolSize(2, 2))
    pool.fill()
    pool.add_fresh(1)
    batch = pool.draw(3)
    assert batch.latents.shape == (3, np.prod(shape.latent_grid), 16)
    assert batch.token_ids.shape == batch.mask.shape == (3, MAX_SEQUENCE_LENGTH)
    assert batch.on_object.shape == batch.latents.shape[:2]
    assert batch.shape is shape


@pytest.mark.parametrize("shape", [SHORT, LONG])
def test_objects_are_marked_where_they_are_drawn(shape):
    for seed in range(20):
        clip = sample_clip(np.random.default_rng(seed), shape)
        mask = mask_objects(clips_to_pixels([clip.frames]))[0, 0].numpy()
        for item in clip.scene.objects:
            painted = np.abs(clip.frames - COLOURS[item.colour]).max(axis=-1) < 0.01
            assert painted.any()
            assert mask[painted].all()
        area = sum(np.pi * track.radius**2 for track in clip.tracks).mean()
        assert area < mask.mean() < 4 * area


def test_tokens_share_in_objects_in_the_order_of_the_latents():
    pixels = torch.zeros(1, 3, SHORT.num_frames, SHORT.height, SHORT.width)
    pixels[:, 0, 5:9, 16:24, 40:48] = 1.0
    share = share_of_objects(pixels).unflatten(1, SHORT.latent_grid)[0]
    assert share[2, 2, 5] == 1.0
    assert share[2, 2, 6] == pytest.approx(2 / 8)
    assert share[0].max() == share[1].max() == share[3].max() == 0.0


def test_objects_weigh_more_where_noise_lets_one_see_them():
    on_object = torch.zeros(3, 10)
    on_object[:, 0] = 1.0
    weights = weigh_objects(on_object, torch.tensor([0.0, 0.5, 1.0]))[..., 0]
    assert weights.mean() == pytest.approx(1.0)
    ratios = weights[:, 0] / weights[:, 1]
    assert ratios.tolist() == pytest.approx([5.0, 4.0, 1.0])


@pytest.mark.parametrize("mask", [None, "words", "bias"])
def test_attention_by_products_is_attention(mask):
    torch.manual_seed(0)
    masks = {None: None, "words": torch.rand(2, 1, 1, 7) > 0.3, "bias": torch.randn(2, 1, 1, 7)}
    query, key, value = (torch.randn(2, 4, n, 32, requires_grad=True) for n in (5, 7, 7))
    attend = functools.partial(
        torch.nn.functional.scaled_dot_product_attention, query, key, value, masks[mask]
    )
    usual = attend()
    with MatmulAttention():
        ours = attend()
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.float(), usual, atol=0.03, rtol=0.0)
    gradients = [
        torch.autograd.grad(out.float().square().sum(), (query, key, value))
        for out in (usual, ours)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(other, one, atol=0.03 * float(one.abs().max()), rtol=0.0)


def test_attention_by_products_refuses_what_it_cannot():
    query = torch.randn(1, 1, 3, 8)
    with MatmulAttention(), pytest.raises(NotImplementedError, match="no dropout, causality"):
        torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=True)


def test_some_captions_are_dropped_for_guidance(untrained):
    pool = LatentPool(untrained, SHORT, np.random.default_rng(0), PoolSize(1, 1))
    pool.fill()
    empty = tokenize(untrained.tokenizer, [""])
    torch.manual_seed(0)
    masks = drop_captions(pool.draw(400), empty).mask.sum(dim=1)
    assert 0.05 < (masks == empty[1].sum()).float().mean() < 0.15


def test_replicas_average_gradients_and_follow_the_first(tmp_path):
    run_replicas(2, functools.partial(average_ranks, tmp_path))
    assert (tmp_path / "0").read_text() == (tmp_path / "1").read_text() == "[[0.5, 0.5]] 10.0"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_training_leaves_weights_and_pictures_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr("sol.models.pocket.training.run.N_TEXT_STEPS", 3)
    monkeypatch.setattr("sol.models.pocket.training.denoiser._POOL_SHORT", PoolSize(4, 8))
    monkeypatch.setattr("sol.models.pocket.training.denoiser._POOL_LONG", PoolSize(2, 4))
    train(Options(tmp_path, (0.05, 0.1), 0, "cpu", 4), Replica())
    first = torch.load(tmp_path / "denoiser.pt")
    assert {p.name for p in tmp_path.iterdir()} >= {"weights", "losses.png", "samples.png"}
    train(Options(tmp_path, (0.05, 0.2), 0, "cpu", 4), Replica())
    second = torch.load(tmp_path / "denoiser.pt")
    n = len(first["losses"])
    assert second["losses"][:n] == first["losses"]
    assert len(second["losses"]) > n
    assert second["spent_s"] > first["spent_s"]
