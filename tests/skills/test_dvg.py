"""dvg: what runs on the coarse grid, from which noise, and what the pipeline makes of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from contracts.models import BATCH, OTHER, PLAIN, UNGUIDED, Call, denoise
from diffusers import DDIMScheduler
from tiny_models import FAMILIES as ALL_FAMILIES
from tiny_models import TINY, build_tiny, build_tiny_experts, tiny_workload
from torch.nn import functional

from sol.attach import wrap_forward
from sol.clock import Clock
from sol.errors import ConfigError
from sol.models.families import describe_roles
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.runtime.ticker import start_ticking
from sol.schedule import Schedule
from sol.skills.registry import get_technique
from sol.skills.token_pruning.dvg.allocation import candidates, choose_stages
from sol.skills.token_pruning.dvg.coarse_video import CoarseVideo
from sol.skills.token_pruning.dvg.demand import demand, detail, flow_magnitude
from sol.skills.token_pruning.dvg.dvg import DVG
from sol.skills.token_pruning.dvg.resampling import Resampling, pooling, smooth, whitening
from sol.skills.token_pruning.dvg.settings import ContentChoice, Stage
from sol.skills.token_pruning.dvg.stages import density, sizes_of
from sol.technique import StackItem, parse_config

FAMILIES = tuple(
    family
    for family in ALL_FAMILIES
    if Capability.COARSE_GRID in describe_roles(build_tiny(family)).capabilities
)
STEPS = 8
HALF = {"until_step": 3, "space": 0.5}
TWO_STAGES = {"until_step": 2, "space": 0.5, "then": [{"until_step": 4, "time": 0.67}]}
CONTENT = {
    "until_step": 2,
    "space": 0.5,
    "time": 0.67,
    "content": {"until_steps": [4, 6], "budget": 0.6},
}
# Of the tiny models, in tokens.
FULL, COARSE = 48, 12


def install(pipeline, config=HALF, *others):
    return install_stack(pipeline, (StackItem("dvg", config), *others))


def make(family, config=HALF, call=PLAIN):
    """The final latents of a tiny model with dvg."""
    pipeline = build_tiny(family)
    install(pipeline, config)
    return denoise(pipeline, tiny_workload(family), call)


def record_tokens(pipeline, clock):
    """(step, tokens) of each call that really computes the last block."""
    (denoiser, *_) = describe_roles(pipeline).denoisers
    calls = []
    denoiser.self_projections[-1][0].register_forward_hook(
        lambda _m, _a, out: calls.append((clock.step, out.shape[1]))
    )
    return calls


def steps_of(calls):
    return sorted({step for step, _ in calls})


@pytest.mark.parametrize(("n", "c"), [(4, 2), (12, 9), (12, 8), (9, 5), (7, 6), (5, 1), (3, 3)])
def test_coarse_noise_is_white(n, c):
    """Its covariance is the identity: unit variance, no correlation."""
    white = whitening(n, c)
    torch.testing.assert_close(white @ white.mT, torch.eye(c, dtype=torch.float64))


def test_drawn_coarse_noise_is_white():
    noise = torch.randn(64, 16, 6, 9, 12, generator=torch.Generator().manual_seed(0))
    coarse = Resampling((6, 9, 12), (4, 6, 7)).whiten(noise)
    assert coarse.shape == (64, 16, 4, 6, 7)
    assert abs(float(coarse.var()) - 1) < 0.01
    for axis in (2, 3, 4):
        n = coarse.shape[axis]
        neighbours = coarse.narrow(axis, 0, n - 1) * coarse.narrow(axis, 1, n - 1)
        assert abs(float(neighbours.mean())) < 0.01


def test_coarse_noise_of_whole_factors_is_the_mean_times_the_root_of_the_cell():
    noise = torch.randn(1, 2, 4, 6, 6, dtype=torch.float64)
    coarse = Resampling((4, 6, 6), (2, 2, 3)).whiten(noise)
    expected = functional.avg_pool3d(noise, (2, 3, 2)) * math.sqrt(12)
    torch.testing.assert_close(coarse, expected)


@pytest.mark.parametrize(("n", "c"), [(12, 9), (9, 5), (5, 1)])
def test_a_flat_signal_keeps_its_level(n, c):
    grids = Resampling((n, n, n), (c, c, c))
    flat = torch.full((1, 1, n, n, n), 0.7, dtype=torch.float64)
    pooled = grids.pool(flat)
    torch.testing.assert_close(pooled, torch.full_like(pooled, 0.7))
    torch.testing.assert_close(grids.spread(pooled), flat)


def test_pooling_weighs_cells_by_what_is_covered():
    expected = torch.tensor([[2, 1, 0], [0, 1, 2]], dtype=torch.float64) / 3
    torch.testing.assert_close(pooling(3, 2), expected)


def test_spreading_is_trilinear_interpolation():
    coarse = torch.randn(2, 3, 3, 4, 5, dtype=torch.float64)
    spread = Resampling((7, 8, 5), (3, 4, 5)).spread(coarse)
    expected = functional.interpolate(coarse, (7, 8, 5), mode="trilinear")
    torch.testing.assert_close(spread, expected)


def test_smoothing_blends_with_the_neighbours_of_the_frame():
    spike = torch.zeros(1, 1, 2, 3, 3)
    spike[0, 0, 0, 1, 1] = 9.0
    smoothed = smooth(spike, 0.5)
    assert smoothed[0, 0, 0, 1, 1] == 5.0
    assert smoothed[0, 0, 0, 0, 1] == 0.75
    assert not smoothed[0, 0, 1].any()
    assert torch.equal(smooth(spike, 0.0), spike)


@pytest.mark.parametrize("family", FAMILIES)
def test_early_steps_run_on_the_coarse_grid(family):
    pipeline = build_tiny(family)
    applied = install(pipeline)
    calls = record_tokens(pipeline, applied.clock)
    denoise(pipeline, tiny_workload(family), PLAIN)
    n_calls = len(TINY[family].branches)
    assert calls == [
        (step, COARSE if step < 3 else FULL) for step in range(STEPS) for _ in range(n_calls)
    ]
    assert applied.evidence()["dvg"].counts == {
        "steps_coarse": 3,
        "tokens_saved": 3 * n_calls * (FULL - COARSE),
        "transitions": 1,
    }


def watch_calls(pipeline):
    """(latents, output) of each call that the denoiser itself is given."""
    seen = []

    def around(forward, args, kwargs):
        result = forward(*args, **kwargs)
        seen.append((kwargs["hidden_states"].clone(), result[0].clone()))
        return result

    wrap_forward(pipeline.transformer, "watch", around)
    return seen


def watch_steps(pipeline):
    """(guided output, latents before) of each step."""
    seen, original = [], pipeline.scheduler.step

    def step(output, timestep, sample, **kwargs):
        seen.append((output.clone(), sample.clone()))
        return original(output, timestep, sample, **kwargs)

    pipeline.scheduler.step = step
    return seen


def as_grid(tokens, frames=3, size=4):
    return tokens.reshape(len(tokens), frames, size, size, -1).movedim(-1, 1).double()


def test_a_coarse_step_is_the_documented_equations():
    """Against double precision, with pooling and interpolation of PyTorch's own."""
    pipeline = build_tiny("ltx")
    inner = watch_calls(pipeline)
    steps = watch_steps(pipeline)
    install(pipeline)
    unguided = Call(changes=(("guidance_scale", 1.0),))
    denoise(pipeline, tiny_workload("ltx"), unguided)
    noise = as_grid(steps[0][1])
    sigmas = pipeline.scheduler.sigmas.double()
    for step in range(3):
        output, x = (as_grid(tokens) for tokens in steps[step])
        given, velocity = (as_grid(tokens, size=2) for tokens in inner[step])
        sigma = sigmas[step]
        y = functional.avg_pool3d(x - sigma * noise, (1, 2, 2))
        y = y + sigma * 2 * functional.avg_pool3d(noise, (1, 2, 2))
        torch.testing.assert_close(given, y, rtol=0, atol=1e-5)
        x0 = functional.interpolate(y - sigma * velocity, (3, 4, 4), mode="trilinear")
        torch.testing.assert_close(x - sigma * output, x0, rtol=0, atol=1e-5)
    assert [len(given[0]) for given, _ in inner] == [COARSE] * 3 + [FULL] * 5


def test_after_the_stage_the_latents_have_the_noise_of_the_seed():
    """x = (1 - sigma) a + sigma n, with a mixed from what the coarse steps predicted."""
    pipeline = build_tiny("ltx")
    steps = watch_steps(pipeline)
    install(pipeline)
    denoise(pipeline, tiny_workload("ltx"), PLAIN)
    sigmas = pipeline.scheduler.sigmas.double()
    noise = as_grid(steps[0][1])
    clean = torch.zeros_like(noise)
    for step in range(3):
        output, x = (as_grid(tokens) for tokens in steps[step])
        kept = sigmas[step + 1] / sigmas[step]
        clean = kept * clean + (1 - kept) * (x - sigmas[step] * output)
    after = as_grid(steps[3][1])
    torch.testing.assert_close(after, clean + sigmas[3] * noise, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["wan", "sana_video"])
def test_a_multistep_scheduler_keeps_its_history(family):
    """Every entry is a prediction on the full grid, before and after the transition."""
    pipeline = build_tiny(family)
    steps = watch_steps(pipeline)
    install(pipeline)
    histories = []

    def keep(step, latents):
        kept = (entry for entry in pipeline.scheduler.model_outputs if entry is not None)
        histories.append([entry.clone() for entry in kept])

    denoise(pipeline, tiny_workload(family), PLAIN, on_step=keep)
    sigmas = pipeline.scheduler.sigmas
    for step, history in enumerate(histories):
        output, x = steps[step]
        assert len(history) == min(step + 1, 2)
        torch.testing.assert_close(history[-1], x - sigmas[step] * output, rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", [HALF, TWO_STAGES], ids=["one_stage", "two_stages"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_is_the_same_video_and_another_is_not(family, config):
    first, again = make(family, config), make(family, config)
    other_seed = make(family, config, Call(seed=7))
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert not np.allclose(first, other_seed, atol=0.1)


# LTX-2 draws the sound of a batch behind all of its videos.
@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "ltx2"])
def test_a_batch_is_its_videos_one_by_one(family):
    pipeline = build_tiny(family)
    install(pipeline)
    both = denoise(pipeline, tiny_workload(family), BATCH)
    # The first of a batch is drawn as the only one of its seed is.
    alone = denoise(pipeline, tiny_workload(family), Call(BATCH.prompts[:1], BATCH.seed))
    np.testing.assert_allclose(both[0], alone[0], rtol=0, atol=1e-4)
    assert not np.allclose(both[0], both[1], atol=0.1)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_works_without_guidance(family):
    pipeline = build_tiny(family)
    applied = install(pipeline)
    video = denoise(pipeline, tiny_workload(family), UNGUIDED)
    assert np.isfinite(video).all()
    assert applied.evidence()["dvg"].counts["tokens_saved"] == 3 * (FULL - COARSE)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_full_grid_as_a_stage_is_the_baseline(family):
    full = {"until_step": 5, "space": 1.0, "time": 1.0}
    expected = denoise(build_tiny(family), tiny_workload(family), PLAIN)
    assert np.array_equal(make(family, full), expected)


def test_one_expert_goes_on_with_the_noise_of_the_other():
    pipeline = build_tiny_experts()
    applied = install(pipeline, {"until_step": 7, "space": 0.5})
    calls = {}
    for denoiser in describe_roles(pipeline).denoisers:
        calls[denoiser.name] = []
        denoiser.blocks[0].register_forward_hook(
            lambda _m, _a, out, name=denoiser.name: calls[name].append(out.shape[1])
        )
    video = denoise(pipeline, tiny_workload("wan"), PLAIN)
    assert np.isfinite(video).all()
    assert set(calls["transformer"]) == {COARSE}
    assert calls["transformer_2"][0] == COARSE
    assert calls["transformer_2"][-1] == FULL
    assert applied.evidence()["dvg"].counts["steps_coarse"] == 7


# Each would leave out the first step of the full grid, were there anything to go by.
CACHES = {
    "step_mask": {"skip": "2-5"},
    "planned": {"skip": "2-5", "reuse": "taylor1"},
    "easycache": {"threshold": 10.0, "warmup": 2, "max_skips": 6},
    "magcache": {
        "threshold": 9.0,
        "warmup": 2,
        "max_skips": 6,
        "ratios": {name: [1.0, 0.99, 0.98, 1.0] for name in ("both", "cond", "uncond")},
    },
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", CACHES)
def test_a_cache_computes_the_first_step_of_every_grid(family, name):
    """It forgets the other grid before it decides, inside of dvg and around it."""
    pipeline = build_tiny(family)
    applied = install(pipeline, TWO_STAGES, StackItem(name, CACHES[name]))
    calls = record_tokens(pipeline, applied.clock)
    video = denoise(pipeline, tiny_workload(family), PLAIN)
    assert np.isfinite(video).all()
    assert applied.evidence()["dvg"].counts["transitions"] == 2
    computed = steps_of(calls)
    assert {0, 2, 4} <= set(computed)
    assert len(computed) < STEPS


@pytest.mark.parametrize("names", [("dvg", "step_mask"), ("step_mask", "dvg")])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_stands_inside_of_a_step_cache_or_around_it(family, names):
    pipeline = build_tiny(family)
    clock, roles = Clock(), describe_roles(pipeline)
    start_ticking(pipeline, roles, clock)
    configs = {"dvg": HALF, "step_mask": {"skip": "2-4"}}
    for name in names:
        technique = get_technique(name)
        technique.install(roles, parse_config(technique, configs[name]), Schedule(), clock)
    calls = record_tokens(pipeline, clock)
    assert np.isfinite(denoise(pipeline, tiny_workload(family), PLAIN)).all()
    # Step 2 is predicted from those before, step 3 is the first of the full grid.
    assert steps_of(calls) == [0, 1, 3, 5, 6, 7]


@pytest.mark.parametrize("family", FAMILIES)
def test_guidance_reuse_computes_both_branches_on_a_new_grid(family):
    pipeline = build_tiny(family)
    reuse = StackItem("cfg_reuse", {"every": 5, "mode": "difference", "warmup": 1, "tail": 0})
    applied = install(pipeline, HALF, reuse)
    counts = []

    def note(step, latents):
        counts.append(applied.evidence()["cfg_reuse"].counts["branches_computed"])

    assert np.isfinite(denoise(pipeline, tiny_workload(family), PLAIN, on_step=note)).all()
    assert counts == [1, 1, 1, 2, 2, 2, 2, 2]


def clip(speed, size=16, n_frames=9):
    """A smooth pattern that moves by `speed` cells a frame: (1, 2, frames, size, size)."""
    angle = torch.arange(size) * (2 * math.pi / size)
    shift = torch.arange(n_frames)[:, None] * speed * (2 * math.pi / size)
    frames = torch.sin(angle)[:, None] + torch.sin(angle - shift)[:, None]
    return frames.expand(1, 2, -1, -1, -1)


def detailed(n_frames=9, size=16):
    """A fine pattern that stands still."""
    generator = torch.Generator().manual_seed(1)
    frame = torch.randn(1, 2, 1, size, size, generator=generator)
    return frame.expand(-1, -1, n_frames, -1, -1)


def test_the_flow_of_a_moving_pattern_is_its_motion():
    assert flow_magnitude(clip(0.5)) == pytest.approx(0.5, rel=0.15)
    assert flow_magnitude(clip(0.0)) == pytest.approx(0.0, abs=1e-5)
    assert flow_magnitude(clip(0.5)[:, :, :1]) == 0.0


def test_detail_is_the_share_of_high_frequencies():
    board = torch.ones(1, 1, 2, 8, 8)
    board[..., ::2, 1::2] = board[..., 1::2, ::2] = -1
    assert detail(board) == pytest.approx(1.0)
    assert detail(clip(0.0)) == pytest.approx(0.0, abs=1e-3)
    assert 0.4 < detail(detailed()) < 0.8


def test_demands_are_the_softmax_of_detail_and_motion():
    space, time = demand(clip(0.5), 2.6)
    magnitude = flow_magnitude(clip(0.5))
    ratio = math.exp(2.6 * (magnitude / (1 + magnitude) - detail(clip(0.5))))
    assert (time / space, time + space) == pytest.approx((ratio, 1.0))


CHOICE = ContentChoice(until_steps=(12, 17), budget=0.6)
FIRST = Stage(6, 0.5, 0.5)
GRID = (9, 16, 16)


def test_candidates_keep_the_budget():
    options = candidates(FIRST, CHOICE, GRID, 24)
    assert len(options) > 3
    for stages in options:
        assert [stage.until_step for stage in stages] == [6, 12, 17]
        assert abs(density(stages, GRID, 24) - 0.6) <= 0.02
        assert stages[2].space == 1.0


def test_a_small_grid_has_the_candidates_closest_to_the_budget():
    """No choice of a second stage makes a video of 8 steps that cheap."""
    grid = (3, 4, 4)
    options = candidates(Stage(2, 0.5, 0.5), ContentChoice((4, 6), 0.2), grid, STEPS)
    sizes = {tuple(sizes_of(stage, grid) for stage in stages) for stages in options}
    assert sizes == {((2, 2, 2), (2, 2, 2), (2, 4, 4))}


def test_motion_is_given_frames_and_detail_is_given_rows():
    chosen = {
        name: choose_stages(FIRST, CHOICE, demand(x0, 2.6), GRID, 24)[1]
        for name, x0 in {"moving": clip(2.0), "detailed": detailed()}.items()
    }
    assert chosen["moving"].time > chosen["detailed"].time
    assert chosen["moving"].space < chosen["detailed"].space


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("call", [PLAIN, BATCH, UNGUIDED], ids=["plain", "batch", "unguided"])
def test_stages_chosen_by_content_are_the_videos_own(family, call):
    """Chosen once a video: the same video has the same stages whatever was made before it."""
    pipeline = build_tiny(family)
    applied = install(pipeline, CONTENT)
    calls = record_tokens(pipeline, applied.clock)
    videos = []
    for each in (call, OTHER, call):
        calls.clear()
        videos.append((denoise(pipeline, tiny_workload(family), each), list(calls)))
    (first, its_calls), _, (again, same_calls) = videos
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert its_calls == same_calls
    tokens = dict(its_calls)
    assert tokens[0] == tokens[1] == 8
    assert tokens[4] == tokens[5]
    assert tokens[6] == tokens[7] == FULL


@pytest.mark.parametrize(
    ("branch", "is_guided", "kept"),
    [("both", True, [1.0]), ("both", False, [0.0, 1.0]), ("cond", True, [0.0, 1.0])],
)
def test_the_content_is_seen_in_the_conditional_prediction(branch, is_guided, kept):
    """Of batched guidance that is the second half; an unconditional call is not looked at."""
    clock = Clock()
    clock.begin_video(STEPS, (1.0,) * STEPS, is_guided)
    video = CoarseVideo(parse_config(DVG, CONTENT), clock)
    clock.branch = branch
    video.observe(torch.arange(2.0)[:, None])
    clock.branch = "uncond"
    video.observe(torch.full((2, 1), 5.0))
    assert video.prediction.flatten().tolist() == kept


@pytest.mark.parametrize("family", FAMILIES)
def test_an_interrupted_video_leaves_no_stage_behind(family):
    pipeline = build_tiny(family)
    install(pipeline, CONTENT)

    def stop(step, latents):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoise(pipeline, tiny_workload(family), OTHER, on_step=stop)
    expected = make(family, CONTENT)
    assert np.array_equal(denoise(pipeline, tiny_workload(family), PLAIN), expected)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"until_step": 2, "then": [{"until_step": 2}]}, "must end after the one before"),
        ({**CONTENT, "then": [{"until_step": 4}]}, "remove one"),
        ({"until_step": 2, "space": 0.0}, "greater than 0"),
        ({"until_step": 2, "then": [{"until_step": 4, "width": 0.5}]}, "width"),
    ],
)
def test_settings_that_mean_nothing_are_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(DVG, config)


def test_a_stage_that_never_ends_is_refused():
    pipeline = build_tiny("wan")
    install(pipeline, {"until_step": STEPS})
    with pytest.raises(ConfigError, match="at least the last one needs the full grid"):
        denoise(pipeline, tiny_workload("wan"), PLAIN)


def test_a_scheduler_without_flow_matching_is_refused():
    pipeline = build_tiny("wan")
    pipeline.scheduler = DDIMScheduler()
    install(pipeline)
    with pytest.raises(ConfigError, match="flow-matching scheduler"):
        denoise(pipeline, tiny_workload("wan"), PLAIN)
