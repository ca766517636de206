"""Which tokens settle early: known trajectories, and real videos."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from example_prompts import OTHER_PROMPT, PROMPT
from tiny_models import build_tiny, tiny_workload

from sol.clock import Clock
from sol.measure.settling import SettlingWatch, settling_steps, spread, watch_settling
from sol.models.families import describe_roles
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.runtime.ticker import start_ticking

N_STEPS = 6


def watch_trajectory(clean, sigmas=None):
    """A video in which step t points at `clean[t]`, (1, channels, frames, rows, columns)."""
    sigmas = sigmas if sigmas is not None else [1 - t / len(clean) for t in range(len(clean))]
    watch = SettlingWatch(Clock(), 0.05, lambda x: x.square().sum(1).mean(0))
    watch.clock.begin_video(len(clean), sigmas)
    noise = torch.randn(clean[0].shape, generator=torch.Generator().manual_seed(0))
    for step, x0 in enumerate(clean):
        sigma = sigmas[step] if sigmas else 0.5
        latents = (1 - sigma) * x0 + sigma * noise
        watch.note(noise - x0, latents)
        watch.clock.advance()
    return watch.settling()


def moving_until(steps):
    """Two channels of four tokens of size 1, each turning by a right angle up to its step."""
    clean = []
    for step in range(N_STEPS):
        angles = torch.tensor([min(step, last) * torch.pi / 2 for last in steps])
        tokens = torch.stack([angles.cos(), angles.sin()])
        clean.append(tokens.reshape(1, 2, 1, 2, 2))
    return clean


def test_a_token_settles_with_its_last_change():
    settling = watch_trajectory(moving_until([0, 1, 3, 5]))
    assert settling.settling_step == (((0.0, 1.0), (3.0, 5.0)),)
    assert settling.settled == pytest.approx((0.25, 0.5, 0.5, 0.75, 0.75, 1.0))
    assert settling.change == pytest.approx([2**0.5 * n / 4 for n in (3, 2, 2, 1, 1)], abs=1e-5)
    assert settling.spread == pytest.approx((0, 0, 0, 0, 0), abs=1e-5)


def test_where_all_tokens_change_alike_none_is_ahead():
    settling = watch_trajectory(moving_until([4, 4, 4, 4]))
    assert settling.spread[:4] == pytest.approx((1, 1, 1, 1), abs=1e-4)
    assert settling.settled == (0.0, 0.0, 0.0, 0.0, 1.0, 1.0)


def test_what_rests_and_moves_again_has_not_settled():
    changes = torch.tensor([0.5, 0.01, 0.01, 0.2, 0.01]).reshape(5, 1, 1, 1)
    assert settling_steps(changes, 0.05).tolist() == [[[4]]]
    assert settling_steps(changes, 0.3).tolist() == [[[1]]]
    assert settling_steps(changes, 0.6).tolist() == [[[0]]]


def test_the_spread_is_between_quarters():
    changes = torch.tensor([1.0, 3.0, 5.0, 5.0, 5.0, 5.0, 9.0, 11.0]).reshape(1, 2, 2, 2)
    assert spread(changes).tolist() == pytest.approx([2 / 10])
    assert spread(0 * changes).tolist() == [1.0]


def test_without_noise_levels_nothing_is_known():
    assert watch_trajectory(moving_until([1, 2, 3, 4]), sigmas=[]) is None


def test_a_prediction_of_the_noise_points_elsewhere():
    scheduler = SimpleNamespace(config={"prediction_type": "epsilon"}, step=lambda *_: None)
    step = scheduler.step
    with watch_settling(SimpleNamespace(denoisers=()), scheduler, Clock()) as watch:
        assert scheduler.step is step
    assert watch.settling() is None


@pytest.fixture(scope="module", params=("ltx", "wan", "sana_video"))
def recorded(request):
    """The watch of two real videos, their latents, and what they are without it."""
    pipeline, workload = build_tiny(request.param), tiny_workload(request.param)
    pairs = ((PROMPT, 0), (OTHER_PROMPT, 1))
    fingerprint = fingerprint_pipeline(pipeline)
    plain = [render(pipeline, workload, *pair).latents for pair in pairs]
    roles, clock = describe_roles(pipeline), Clock()
    stop = start_ticking(pipeline, roles, clock)
    with watch_settling(roles, pipeline.scheduler, clock) as watch:
        latents = [render(pipeline, workload, *pair).latents for pair in pairs]
    stop()
    assert fingerprint_pipeline(pipeline) == fingerprint
    return watch, latents, plain


def test_videos_stay_as_they_are(recorded):
    _, latents, plain = recorded
    for watched, baseline in zip(latents, plain, strict=True):
        assert np.array_equal(watched, baseline)


def test_there_is_a_value_for_every_step_and_a_cell_for_every_place(recorded):
    settling = recorded[0].settling()
    assert settling.n_videos == 2
    assert (len(settling.settled), len(settling.change), len(settling.spread)) == (8, 7, 7)
    assert np.all(np.diff(settling.settled) >= 0)
    assert settling.settled[-1] == 1.0
    assert 0 < min(settling.spread) <= max(settling.spread) <= 1
    frames, rows, columns = np.shape(settling.settling_step)
    assert frames <= 8
    assert max(rows, columns) <= 4


def test_the_last_step_points_at_the_final_latents(recorded):
    """With nothing behind it the last step goes all the way to its prediction."""
    watch, latents, _ = recorded
    for video, final in zip(watch.videos.values(), latents, strict=True):
        n_cells = final.size / final.shape[1] if final.ndim == 5 else final.shape[1]
        assert float(video.clean.mean()) == pytest.approx(
            float(np.square(final).sum()) / n_cells, rel=1e-4
        )
