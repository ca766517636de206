import numpy as np
import pytest

from sol.validator.metrics.look import motion
from sol.validator.sanity import find_sanity_problems


@pytest.fixture
def frames(clip_set):
    return clip_set[(0, 0)].copy()


def test_a_sound_video_has_no_problem(frames):
    assert find_sanity_problems(frames, frames.shape, motion(frames)) == ()


def still(frames):
    return np.repeat(frames[:1], len(frames), axis=0)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: f[:, :-1], "shape"),
        (lambda f: np.where(f == f[4, 4, 4, 0], np.inf, f), "not finite"),
        (lambda f: f * 0 + np.nan, "not finite"),
        (lambda f: f * 255, "outside [0, 1]"),
        (lambda f: f - 0.5, "outside [0, 1]"),
        (lambda f: f * 0 + 1 / 255, "black"),
        (lambda f: f * 0 + 0.5, "constant colour"),
        (lambda f: f * 0 + np.linspace(0.2, 0.6, 9)[:, None, None, None], "constant colour"),
        (still, "frozen: 0% of the baseline's motion"),
    ],
)
def test_damage_is_named(frames, damage, words):
    problems = find_sanity_problems(damage(frames), frames.shape, motion(frames))
    assert any(words in problem for problem in problems), problems


def test_a_still_copy_of_a_still_baseline_is_sound(frames):
    copy = still(frames)
    assert find_sanity_problems(copy, copy.shape, motion(copy)) == ()


def test_without_a_baseline_stillness_is_no_problem(frames):
    assert find_sanity_problems(still(frames), frames.shape) == ()


def test_half_the_motion_is_not_frozen(frames):
    slow = np.repeat(frames[:5], 2, axis=0)[:9]
    assert find_sanity_problems(slow, slow.shape, motion(frames)) == ()
