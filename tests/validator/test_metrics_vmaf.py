import json

import numpy as np
import pytest
from fake_ffmpeg import fake_ffmpeg

from sol.validator.metrics.metric_error import MetricError
from sol.validator.metrics.vmaf import score_vmaf


@pytest.fixture
def clip(clip_set):
    return clip_set[(2, 0)]


def blurred(frames):
    """Means of 3x3 pixels, twice."""
    for axis in (1, 2, 1, 2):
        frames = (np.roll(frames, 1, axis) + frames + np.roll(frames, -1, axis)) / 3
    return frames


def both(reference, other):
    scores = score_vmaf(reference, other)
    assert set(scores) == {"vmaf", "vmaf_neg"}
    return scores["vmaf"], scores["vmaf_neg"]


def test_a_video_is_like_itself_and_unlike_its_blur_its_noise_and_another(clip, clip_set):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, clip.shape) / 255
    same, noisy, soft, other = (
        both(clip, video) for video in (clip, clip + noise, blurred(clip), clip_set[(7, 0)])
    )
    assert min(same) > 97
    assert min(noisy) > 94
    assert max(soft) < 80
    assert max(other) < 20


def test_neg_does_not_reward_sharpening(clip):
    sharper = np.clip(clip + 0.6 * (clip - blurred(clip)), 0, 1)
    vmaf, neg = both(clip, sharper)
    assert neg < vmaf - 1


@pytest.mark.parametrize("size", [(47, 65), (64, 64), (33, 40), (16, 16), (8, 24), (1, 1)])
def test_any_size_can_be_scored(clip, size):
    small = np.ascontiguousarray(np.tile(clip, (1, 2, 2, 1))[:, : size[0], : size[1]])
    assert min(both(small, small)) > 95


@pytest.mark.parametrize("size", [20, 32, 48])
def test_blur_shows_in_small_videos_too(clip, size):
    small = clip[:, 10 : 10 + size, 10 : 10 + size]
    assert max(both(small, blurred(small))) < 75


def test_sides_are_not_mixed_up(clip):
    """VMAF is not symmetric: blur loses more than its reverse."""
    assert both(clip, blurred(clip)) != both(blurred(clip), clip)
    assert both(clip, blurred(clip))[0] < both(blurred(clip), clip)[0]


def report(mean=97.5, neg=97.0, n_frames=9):
    pooled = {"vmaf": {"mean": mean}, "vmaf_neg": {"mean": neg}}
    return json.dumps({"frames": [{}] * n_frames, "pooled_metrics": pooled})


def test_scores_are_read_from_the_report(clip, tmp_path):
    fake = fake_ffmpeg(tmp_path, f"cat > /dev/null; echo '{report()}'")
    assert score_vmaf(clip, clip, ffmpeg=fake) == {"vmaf": 97.5, "vmaf_neg": 97.0}


@pytest.mark.parametrize(
    ("script", "limit_s", "reason"),
    [
        ("kill -9 $$", 60, "killed by signal 9"),
        ("exec sleep 60", 0.3, "not done in 0.3 s"),
        ("echo '[error] no model' >&2", 60, "ffmpeg says: no model"),
        ("exit 4", 60, "exit code 4"),
        (f"echo '{report()}'; exit 4", 60, "exit code 4"),
        (f"echo '{report()}'; kill -11 $$", 60, "killed by signal 11"),
        ("echo Segmentation fault", 60, "no scores but 'Segmentation fault"),
        ("exit 0", 60, "no scores but ''"),
        ("echo '{}'", 60, "no scores but"),
        ("echo '[]'", 60, "no scores but"),
        ("echo 'null'", 60, "no scores but"),
        (f"echo '{report()[:40]}'", 60, "no scores but"),
        (f"echo '{report(n_frames=8)}'", 60, "8 of 9 frames"),
        (f"echo '{report(mean=float('nan'))}'", 60, "VMAF's vmaf is nan"),
        (f"echo '{report(neg=float('inf'))}'", 60, "VMAF's vmaf_neg is inf"),
        (f"echo '{report(mean=None)}'", 60, "VMAF's vmaf is None"),
        (f"echo '{report(mean='97')}'", 60, "VMAF's vmaf is 97, not"),
        (f"echo '{report(neg=100.1)}'", 60, "VMAF's vmaf_neg is 100.1"),
        (f"echo '{report(neg=-1.0)}'", 60, "VMAF's vmaf_neg is -1"),
    ],
)
def test_an_ffmpeg_that_fails_gives_a_reason_and_no_score(clip, tmp_path, script, limit_s, reason):
    fake = fake_ffmpeg(tmp_path, f"{script}")
    with pytest.raises(MetricError, match=reason) as raised:
        score_vmaf(clip, clip, time_limit_s=limit_s, ffmpeg=fake)
    assert "take vmaf out of the profile" in str(raised.value)


def test_what_is_no_video_gives_a_reason(clip):
    with pytest.raises(MetricError, match="NaN or infinity"):
        score_vmaf(clip, clip * np.nan)
