"""Every second of a baseline video is counted once."""

from __future__ import annotations

import pytest

from sol.diagnosis import Diagnosis
from sol.stages.time_shares import share_time

PARTS = {
    "self_attention": 3.0,
    "cross_attention": 1.0,
    "qkv": 0.75,
    "out": 0.25,
    "cross": 0.5,
    "feed_forward": 2.0,
    "modulation": 0.125,
}


def seconds_of(diagnosis):
    return {share.role: share.seconds for share in share_time(diagnosis)}


def test_roles_of_one_video():
    assert seconds_of(Diagnosis(10.0, 8.0, 3.5, 1.0, 0.5, PARTS)) == {
        "self-attention": 2.0,
        "projections of self-attention": 1.0,
        "cross-attention": 1.0,
        "feed-forward": 2.0,
        "glue: norms, modulation, rotary tables": 2.0,
        "decoding": 1.0,
        "text encoding": 0.5,
        "overhead: scheduler, pipeline": 0.5,
    }


@pytest.mark.parametrize(
    "diagnosis",
    [
        pytest.param(Diagnosis(10.0, 8.0, 3.5, 1.0, 0.5, PARTS), id="as measured"),
        pytest.param(Diagnosis(10.0, 8.0, 3.5, 1.0, 0.5), id="no parts recorded"),
        pytest.param(Diagnosis(10.0, 3.0, 3.5, 1.0, 0.5, PARTS), id="parts beyond the denoiser"),
        pytest.param(Diagnosis(4.0, 8.0, 3.5, 1.0, 0.5, PARTS), id="denoiser beyond the total"),
        pytest.param(
            Diagnosis(10.0, 8.0, 3.5, 1.0, 0.5, {"qkv": 2.0, "self_attention": 1.0}),
            id="projections outside of attention",
        ),
        pytest.param(Diagnosis(0.0, 0.0, 0.0, 0.0, 0.0), id="nothing"),
    ],
)
def test_they_add_up_and_none_is_negative(diagnosis):
    seconds = seconds_of(diagnosis)
    assert len(seconds) == 8
    assert min(seconds.values()) >= 0.0
    assert sum(seconds.values()) == pytest.approx(diagnosis.total_s)
