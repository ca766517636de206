"""A small gate, and pairs to hold against it."""

from __future__ import annotations

from sol.validator.profile import Confirmation, Profile, Screening
from sol.validator.records import PairRecord
from sol.validator.rule_kinds import Difference, Floor, Ratio

METRICS = (
    Difference("temporal_flickering", "difference", 0.003, 0.006),
    Ratio("motion", "ratio", 0.9, 1.1),
    Floor("psnr", "floor", 25.0, 23.0),
)
TAIL = Floor("ssim", "floor", 0.55, worst=0.5)
"""A rule that asks little of the mean."""


def make_profile(
    metrics=METRICS, probes=(), looks=(4, 8), seeds=2, vbench=(), tail=0.25, **confirmation
):
    plan = {"spending": 1.0, "futility": 0.05, "candidates": 1, "extra": 0} | confirmation
    return Profile(
        schema="sol.gate/2",
        name="test",
        confidence=0.95,
        seeds=seeds,
        screening=Screening(4, 0.8),
        confirmation=Confirmation(looks, **plan),
        probes=probes,
        tail=tail,
        metrics=metrics,
        vbench=vbench,
    )


def pair(prompt, seed=0, psnr=30.0, flickering=0.97, motion=0.02, ssim=0.9, stratum=""):
    video = {"temporal_flickering": 0.97, "motion": 0.02}
    accelerated = {"temporal_flickering": flickering, "motion": motion}
    paired = {"psnr": psnr, "ssim": ssim}
    return PairRecord(f"p{prompt}", seed, video, accelerated, paired, stratum=stratum)


def pairs(n_prompts=4, n_seeds=2, **values):
    return [pair(p, s, **values) for p in range(n_prompts) for s in range(n_seeds)]
