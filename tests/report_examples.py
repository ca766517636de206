"""A run report with everything in it, and two videos that differ."""

import numpy as np
from sparsity_examples import SETTLING

from sol.measure.stats import Interval
from sol.target import Hardware, Model, Target, Workload
from sol.validator.clips import make_sheets
from sol.validator.report.model import (
    AgentReport,
    Clip,
    Contribution,
    Interaction,
    MemoryUse,
    NotTried,
    PairPoint,
    Point,
    RunReport,
    SkillBound,
    StartCost,
    TimeShare,
)
from sol.validator.report.sparsity import LayerSparsity, SparsityReport
from sol.validator.report.stack import StackReport
from sol.validator.verdict import Check, Look, StratumFinding, Verdict

HOSTILE = '<script>alert("x")</script> & a $title fox'
MIB = 1024**2
PROBES, SCREENING, CONFIRMATION = "probes", "screening", "confirmation"

CHECKS = (
    Check("off_is_identity", True, 0.0, 0.0, 0.0, 2, "bit-identical", "<=", stage=PROBES),
    Check("engagement", True, 0.0, 0.0, 0.0, 24, "every technique engaged", "<=", stage=PROBES),
    Check("ssim_floor", True, 0.957, 0.948, 0.9, 12, "mean 0.957", stage=SCREENING),
    Check("coverage", True, 12.0, 12.0, 12.0, 24, "12 prompts with 2 seeds or more, 12 needed"),
    Check("sanity", True, 0.0, 0.0, 0.0, 24, "0 of 24 pairs have a problem", "<="),
    Check(
        "temporal_flickering_difference",
        True,
        -0.0004,
        -0.0011,
        -0.003,
        12,
        "mean -0.0004",
        baseline=0.9713,
        accelerated=0.9709,
    ),
    Check(
        "sharpness_ratio_min",
        True,
        0.981,
        0.969,
        0.9,
        12,
        "ratio of means 0.981",
        baseline=0.0412,
        accelerated=0.0404,
    ),
    Check("sharpness_ratio_max", True, 0.981, 0.994, 1.1, 12, "ratio of means 0.981", "<="),
    Check("psnr_floor", True, 31.2, 29.6, 25.0, 12, "mean 31.2 over 12 prompts"),
    Check("psnr_worst", True, 24.1, 24.1, 18.0, 24, f"lowest is 24.1: {HOSTILE!r} seed 1"),
    Check("psnr_tail", True, 1.0, 1.0, 3.0, 12, "1 of 12 prompts fall below psnr 20", "<="),
)
BAD_CHECK = Check("psnr_floor", False, 25.4, 23.9, 25.0, 12, "mean 25.4, 95% lower bound 23.9")
LOOKS = (
    Look(SCREENING, 8, 0.9, "accepted", "nothing against it"),
    Look(CONFIRMATION, 59, 0.9987, "undecided", "sharpness_ratio_min: bound 0.89"),
    Look(CONFIRMATION, 93, 0.965, "accepted"),
)
STRATA = (
    StratumFinding("motion", 31, "ssim", 0.93, 0.905, 0.88),
    StratumFinding("texture", 31, "temporal_flickering", -0.001, -0.003, -0.006),
)


def make_verdict(*failed):
    names = {check.name for check in failed}
    checks = (*(check for check in CHECKS if check.name not in names), *failed)
    reasons = tuple(f"{check.name}: {check.detail}" for check in failed)
    word = "rejected" if failed else "accepted"
    looks, strata = ((), ()) if failed else (LOOKS, STRATA)
    return Verdict(
        word, "embedded", "near-lossless", "ab" * 32, checks, reasons, CONFIRMATION, looks, strata
    )


def make_members(threshold):
    return (
        {
            "technique": "easycache",
            "config": {"threshold": threshold, "warmup_steps": 4},
            "schedule": {"steps": "4-20"},
        },
        {"technique": "int8_dynamic", "config": {"layers": "feed_forward"}, "schedule": {}},
    )


STACKS = (
    StackReport(
        "easycache 0.08 + int8_dynamic",
        make_members(0.08),
        Interval(1.83, 1.79, 1.86, 10),
        1.95,
        25.4,
        "rejected",
        "the gate rejected it",
        make_verdict(BAD_CHECK),
        predicted_psnr=26.1,
        predicted_low=1.7,
        predicted_high=2.2,
        is_prediction=True,
    ),
    StackReport(
        "easycache 0.05 + int8_dynamic",
        make_members(0.05),
        Interval(1.62, 1.58, 1.66, 10),
        1.7,
        31.2,
        "accepted",
        "",
        make_verdict(),
        predicted_psnr=31.9,
        predicted_low=1.63,
        predicted_high=1.78,
        composed_speedup=Interval(1.6, 1.55, 1.64, 5),
        is_prediction=True,
    ),
    StackReport(
        "token_merge 0.5 + easycache 0.05",
        make_members(0.05)[:1],
        None,
        2.1,
        None,
        "out",
        HOSTILE,
        predicted_psnr=24.0,
        is_prediction=True,
    ),
    StackReport(
        f"easycache 0.02 + {HOSTILE}",
        make_members(0.02),
        Interval(1.41, 1.38, 1.45, 5),
        1.4,
        36.2,
        "measured",
        predicted_psnr=37.0,
        predicted_low=1.3,
        predicted_high=1.5,
        is_prediction=True,
    ),
    StackReport(
        "token_merge 0.2 + easycache 0.02",
        make_members(0.02),
        Interval(1.5, 1.47, 1.54, 5),
        1.38,
        28.7,
        "out",
        "a bolder neighbour fell",
        edge="threshold 0.03 fell to 12.1 dB",
        predicted_psnr=29.9,
        is_prediction=True,
    ),
    StackReport(
        "compile alone",
        ({"technique": "compile", "config": {}, "schedule": {}},),
        Interval(1.12, 1.1, 1.14, 5),
        1.12,
        100.0,
        "measured",
        predicted_psnr=100.0,
    ),
)


def make_points():
    rng = np.random.default_rng(0)
    skills = ("cache", "quantization", "kernel_fusion", "token_pruning", "sparse_attention")
    points = [
        Point(
            skill,
            f"{skill}_technique",
            f"{skill} setting {i}",
            float(1 + rng.gamma(2, 0.15) * (1 - 0.1 * k)),
            float(rng.uniform(20, 45)),
            "measured" if i < 4 else "over_budget",
        )
        for k, skill in enumerate(skills)
        for i in range(6)
    ]
    return (
        *points,
        Point("cache", "easycache", "easycache 0.05", 1.41, 33.0, "measured", "", True),
        Point("quantization", "int8_dynamic", "int8_dynamic", 1.18, 38.5, "measured", "", True),
        Point("kernel_fusion", "compile", "compile", 1.12, 100.0, "measured"),
        Point("cache", "easycache", "easycache 0.9", None, None, "failed", "black video"),
    )


TARGET = Target(
    Model("pocket", "ltx", "0123abc", "cd" * 32),
    Hardware("cpu", "Example 9000", 8, 31.3, ("avx2", "avx512_vnni")),
    Workload(64, 64, 17, 24, 3.0, 16, 32, negative_prompt="<b>blurry</b>"),
)

SPARSITY = SparsityReport(
    density=0.25,
    block=64,
    layers=(
        LayerSparsity(0.612, {"drop": 0.21, "mean": 0.13}, {"step before": 0.95}),
        LayerSparsity(0.874, {"drop": 0.08, "mean": 0.055}, {"step before": 0.975}),
    ),
    overlap_by_lot=0.23,
)
CONTRIBUTIONS = (
    Contribution(
        "easycache",
        Interval(1.16, 1.14, 1.18, 5),
        Interval(1.4, 1.36, 1.44, 5),
        psnr_without=38.5,
        psnr_with=31.2,
        speedup_with=Interval(1.624, 1.58, 1.66, 5),
    ),
    Contribution(
        "int8_dynamic",
        Interval(1.6, 1.56, 1.65, 5),
        Interval(1.01, 0.98, 1.05, 5),
        is_noise=True,
        psnr_without=32.0,
        psnr_with=31.2,
    ),
    Contribution(
        "token_merge",
        Interval(1.61, 1.57, 1.65, 5),
        Interval(1.005, 0.97, 1.04, 5),
        is_noise=True,
        psnr_without=31.9,
        psnr_with=31.2,
        reason="what it adds cannot be told from nothing",
        removed=True,
    ),
    Contribution("compile", reason="it needs what was left out"),
)
TIME_SHARES = (
    TimeShare("text", 0.08),
    TimeShare("feed-forward", 0.7),
    TimeShare("attention", 0.5),
    TimeShare(HOSTILE, 0.12),
)
BOUNDS = (
    SkillBound("kernel_fusion", 1.3, "glue takes 23% of the time"),
    SkillBound("cache", 4.0, "if three steps of four were free"),
)
NOT_TRIED = (NotTried("sage_attention", f"needs a CUDA device {HOSTILE}"),)
INTERACTIONS = (
    Interaction("compile", "int8_dynamic", 1.012, 0.99, 1.034, None, 3),
    Interaction("easycache", HOSTILE, 0.86, 0.82, 0.91, -1.3, 5),
)


def make_pair_points():
    rng = np.random.default_rng(1)
    kinds = ("compositional", "motion", "texture")
    points = [
        PairPoint(
            f"prompt {k}",
            k % 2,
            kinds[k % 3],
            {"psnr": float(rng.normal(31, 2.5)), "ssim": float(rng.beta(40, 2))},
        )
        for k in range(36)
    ]
    return (*points, PairPoint(HOSTILE, 1, "motion", {"psnr": 24.1, "ssim": 0.85}))


def make_clips():
    return (
        Clip(
            "p0",
            HOSTILE,
            1,
            "motion",
            ("lowest psnr, 24.1", "lowest ssim, 0.902"),
            {"psnr": 24.1, "ssim": 0.902},
            8.0,
            "Pixels as they are: stored without loss, at full size.",
        ),
        Clip(
            "p1",
            "a red circle drifts right",
            0,
            "texture",
            ("sharpness ratio furthest from 1, 0.93",),
            {"psnr": 36.5, "ssim": 0.981},
            8.0,
            "Pixels as they are: stored without loss, at full size.",
        ),
        Clip(
            "gone", "a blue star", 1, "", ("lowest ssim (no. 2), 0.95",), {}, 8.0, "It is missing."
        ),
    )


def make_report(**changes):
    settings = {
        "run_id": "20260102-030405-pocket",
        "created": "2026-01-02T03:04:05+00:00",
        "outcome": "accepted",
        "headline": "1.62x faster on Example 9000, near-lossless",
        "target": TARGET,
        "profile": "near-lossless",
        "profile_digest": "ab" * 32,
        "versions": {"python": "3.11.7", "torch": "2.13.0", "sol-tuner": "0.1.0"},
        "baseline_s": Interval(1.94, 1.91, 1.99, 10),
        "agents": (
            AgentReport("cache", 24, 4, "finished", "steps 4-20 tolerate reuse"),
            AgentReport("sparse_attention", 0, 0, "does not apply", "80 tokens: nothing to skip"),
        ),
        "frontier": make_points(),
        "stacks": STACKS,
        "winner": 1,
        "memory": {
            "baseline": MemoryUse(41 * MIB, 610 * MIB),
            "accelerated": MemoryUse(14 * MIB, None, 30 * MIB),
            "after undo": MemoryUse(41 * MIB, None),
        },
        "cold_start": StartCost(0.31, 11.6, 17),
        "evidence": {"easycache": {"steps_skipped": 11}, "int8_dynamic": {"linears": 48}},
        "contributions": CONTRIBUTIONS,
        "pairs": make_pair_points(),
        "clips": make_clips(),
        "redundancy": {"output, against the step before": (0.2, 0.05, 0.1)},
        "attention": SPARSITY,
        "settling": SETTLING,
        "time_shares": TIME_SHARES,
        "bounds": BOUNDS,
        "not_tried": NOT_TRIED,
        "interactions": INTERACTIONS,
    }
    return RunReport(**(settings | changes))


REJECTED = {
    "outcome": "nothing accepted",
    "headline": "No stack held quality",
    "winner": None,
    "cold_start": None,
    "contributions": (),
    "stacks": (STACKS[0], STACKS[2]),
}
NOTHING = {
    "stacks": (),
    "frontier": (),
    "agents": (),
    "memory": {},
    "pairs": (),
    "clips": (),
    "time_shares": (),
    "bounds": (),
    "not_tried": (),
    "interactions": (),
}
"""What a run has not that ended before it measured anything."""


def moving_square(lag=0, n_frames=17, side=64):
    """uint8 (frames, side, side, 3): a square that moves two pixels a frame over a gradient."""
    y, x = np.mgrid[:side, :side]
    frames = np.empty((n_frames, side, side, 3), np.uint8)
    for t in range(n_frames):
        frames[t] = np.stack([60 + x, 80 + y, np.full_like(x, 90)], axis=-1)
        left = max(0, 2 + 2 * (t - lag))
        frames[t, side // 3 : side // 2, left : left + 10] = (250, 180, 30)
    return frames


def make_example_sheets():
    """p0 differs by a frame of lag, p1 is equal."""
    baseline = moving_square()
    return {
        "p0": make_sheets((baseline, moving_square(lag=1))),
        "p1": make_sheets((baseline,) * 2),
    }
