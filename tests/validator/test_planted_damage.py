"""Every kind of damage that a search could mistake for a win, planted in an equal set."""

from dataclasses import replace

import numpy as np
import pytest

from sol.validator.gate import find_reasons, look
from sol.validator.looks import plan_screening
from sol.validator.profile import Screening, load_profile
from sol.validator.records import compare_pair

N_PROMPTS = 6
PROFILE = load_profile("near-lossless")
PLAN = plan_screening(replace(PROFILE, screening=Screening(N_PROMPTS, 0.8)))


def judge(clip_set, damage, only=None):
    """A look at one video of each prompt."""
    pairs = [
        compare_pair(
            f"prompt {pair[0]}",
            pair[1],
            frames,
            damage(frames.copy(), pair, clip_set) if only in (None, pair) else frames,
            PROFILE.metric_names,
        )
        for pair, frames in clip_set.items()
        if pair[1] == 0 and pair[0] < N_PROMPTS
    ]
    return look(PROFILE, "embedded", PLAN, pairs, np.random.default_rng(0))


def nothing(frames, _pair, _clips):
    return frames


def rounding(frames, pair, _clips):
    noise = np.random.default_rng(pair).normal(0, 0.5 / 255, frames.shape)
    return np.clip(frames + noise, 0, 1).astype(np.float32)


def blur(frames, _pair, _clips):
    for axis in (1, 2):
        for _ in range(3):
            frames = (np.roll(frames, 1, axis) + 2 * frames + np.roll(frames, -1, axis)) / 4
    return frames


def freeze(frames, _pair, _clips):
    return np.repeat(frames[:1], len(frames), axis=0)


def lag(frames, _pair, _clips):
    return np.concatenate([frames[:1], frames[:-1]])


def flicker(frames, _pair, _clips):
    frames[::2] *= 0.95
    return frames


def desaturate(frames, _pair, _clips):
    grey = frames.mean(axis=-1, keepdims=True)
    return grey + 0.9 * (frames - grey)


def tint(frames, _pair, _clips):
    return np.clip(frames + np.array([0.15, 0, -0.15], np.float32), 0, 1)


def wrong_video(_frames, pair, clips):
    return clips[((pair[0] + 1) % 12, pair[1])]


def noisy(frames, pair, _clips):
    noise = np.random.default_rng(pair).normal(0, 0.04, frames.shape)
    return np.clip(frames + noise, 0, 1).astype(np.float32)


def black(frames, _pair, _clips):
    return frames * 0


def not_a_number(frames, _pair, _clips):
    frames[3, 5, 5, 1] = np.nan
    return frames


def short(frames, _pair, _clips):
    return frames[:-1]


def eight_bit(frames, _pair, _clips):
    return frames * 255


@pytest.mark.parametrize("harmless", [nothing, rounding])
def test_harmless_change_is_accepted(clip_set, harmless):
    finding = judge(clip_set, harmless)
    assert (finding.outcome, finding.reason) == ("accepted", "")


@pytest.mark.parametrize(
    ("damage", "caught_by"),
    [
        (blur, "sharpness_ratio_min"),
        (freeze, "sanity"),
        (freeze, "motion_ratio_min"),
        (lag, "in_step_floor"),
        (flicker, "temporal_flickering_difference"),
        (flicker, "motion_ratio_max"),
        (desaturate, "saturation_ratio_min"),
        (tint, "psnr_floor"),
        (wrong_video, "psnr_floor"),
        (wrong_video, "ssim_floor"),
        (noisy, "sharpness_ratio_max"),
        (black, "sanity"),
        (not_a_number, "sanity"),
        (not_a_number, "psnr_floor"),
        (short, "sanity"),
        (eight_bit, "sanity"),
    ],
)
def test_damage_everywhere_is_rejected_by(clip_set, damage, caught_by):
    finding = judge(clip_set, damage)
    assert finding.outcome == "rejected"
    assert caught_by in {check.name for check in finding.checks if not check.passed}
    assert any(reason.startswith(f"{caught_by}: ") for reason in find_reasons(finding.checks))


@pytest.mark.parametrize(
    ("damage", "caught_by"),
    [
        (freeze, "sanity"),
        (wrong_video, "tail"),
        (black, "sanity"),
        (not_a_number, "sanity"),
    ],
)
def test_damage_to_one_video_of_six_is_rejected_by(clip_set, damage, caught_by):
    finding = judge(clip_set, damage, only=(4, 0))
    failed = {check.name: check for check in finding.checks if not check.passed}
    assert caught_by in failed
    assert "'prompt 4'" in failed[caught_by].detail


def test_still_baselines_do_not_trip_the_gate(clip_set):
    half_still = {
        pair: freeze(frames, None, None) if pair[0] % 2 else frames
        for pair, frames in clip_set.items()
    }
    assert judge(half_still, rounding).outcome == "accepted"
