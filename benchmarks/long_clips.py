"""What sparse attention and token pruning bring on pocket-long, 1,296 tokens, end to end.

    python benchmarks/long_clips.py --out benchmarks/results/pocket-long           # measured
    python benchmarks/long_clips.py --out benchmarks/results/pocket-long --gate 3  # row 3, judged

Whole videos against the baseline, interleaved in one process, and the PSNR of frames to the
baseline's on calibration prompts. Seconds are the processor's, of one thread: other processes
take turns with it without lengthening them. With `--gate` nothing is measured: rows of the file
are judged on held-out prompts (it needs the `tune` extra). Writes JSON and Markdown after every
row.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from timed_stacks import Row, label_of, make_stack, time_stack

from sol.measure.fidelity import psnr
from sol.measure.hardware import probe, versions
from sol.models.loading import load_model
from sol.models.prompts import calibration_prompts
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import render
from sol.target import Workload
from sol.technique import Stack

_MODEL = "pocket-long"
_SEED = 10_000


_CORRECTED = {
    "density": 0.11,
    "block": 144,
    "order": "raster",
    "remainder": "drop",
    "dense_first": 8,
    "correct_every": 3,
    "correct_order": 1,
    "refresh": 24,
}
_PUBLISHED = {"density": 0.25, "block": 72, "dense_first": 5, "dense_layers": 1}
_STALE = {"tau": 0.15, "refresh": 3}

STACKS = (
    make_stack(("topk_blocks", _CORRECTED)),
    make_stack(("stale_tokens", _STALE)),
    make_stack(("topk_blocks", _PUBLISHED)),
    make_stack(("token_prune", {"keep": 0.3, "refresh": 3, "warmup": 8})),
    make_stack(("ras", {"sample_ratio": 0.5, "refresh": 2})),
    make_stack(("tome", {"ratio": 0.3, "warmup": 8})),
    make_stack(("dvg", {"until_step": 1, "space": 0.5})),
)


@dataclass(frozen=True)
class LongRow:
    """A stack: how fast, how close, and what the gate says.

    Attributes:
        psnr: dB of frames to the baseline's, mean and least over the calibration prompts.
    """

    timing: Row
    psnr: tuple[float, float]


def main() -> None:
    """Measures or judges, and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--gate", type=int, nargs="*", help="Rows to judge, from 1.")
    parser.add_argument("--out", type=Path, required=True, help="Without a suffix.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.gate is not None:
        _judge(args.out, args.gate)
        return
    loaded = load_model(_MODEL, "cpu")
    prompts = calibration_prompts(loaded.prompts, args.prompts)
    videos = [
        render(loaded.pipeline, loaded.workload, prompt, seed).frames
        for seed, prompt in enumerate(prompts)
    ]
    rows: list[LongRow] = []
    for stack in STACKS:
        timing = time_stack(
            loaded.pipeline,
            loaded.workload,
            _MODEL,
            lambda pipeline, workload: render(pipeline, workload, prompts[0], _SEED),
            stack,
            args.pairs,
            clock=time.process_time,
        )
        quality = _psnr(loaded.pipeline, loaded.workload, stack, prompts, videos)
        rows.append(LongRow(timing, quality))
        print(_markdown(rows[-1]), flush=True)
        _write(args.out, rows)


def _psnr(
    pipeline: Any, workload: Workload, stack: Stack, prompts: Sequence[str], videos: Sequence[Any]
) -> tuple[float, float]:
    clone = clone_pipeline(pipeline)
    with install_stack(clone, stack):
        values = [
            psnr(video, render(clone, workload, prompt, seed).frames)
            for seed, (prompt, video) in enumerate(zip(prompts, videos, strict=True))
        ]
    return statistics.fmean(values), min(values)


def _judge(out: Path, chosen: Sequence[int]) -> None:
    from judged_stacks import judge_stacks

    rows = _read(out)
    stacks = {label_of(stack): stack for stack in STACKS}
    judged = [stacks[rows[number - 1].timing.stack] for number in chosen]
    for number, verdict in zip(chosen, judge_stacks(_MODEL, judged), strict=True):
        row = rows[number - 1]
        rows[number - 1] = replace(row, timing=replace(row.timing, verdict=verdict))
        print(_markdown(rows[number - 1]), flush=True)
        _write(out, rows)


def _read(out: Path) -> list[LongRow]:
    data = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    return [LongRow(Row(**row["timing"]), tuple(row["psnr"])) for row in data["rows"]]


def _write(out: Path, rows: Sequence[LongRow]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    hardware = probe("cpu").name
    data = {"hardware": hardware, "versions": versions(), "rows": [asdict(row) for row in rows]}
    out.with_suffix(".json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    head = (
        f"# Sparse attention and token pruning on {_MODEL}, {hardware}\n\n"
        "| stack | speed-up | seconds a video | PSNR mean, least | gate |\n|---|---|---|---|---|\n"
    )
    note = (
        "\n\nMedians with 95% bootstrap intervals of paired ratios of whole videos, interleaved "
        "in one process; seconds are the processor's, of one thread. PSNR is of calibration "
        "prompts; the gate has its own.\n"
    )
    body = "\n".join(_markdown(row) for row in rows)
    out.with_suffix(".md").write_text(head + body + note, encoding="utf-8")


def _markdown(row: LongRow) -> str:
    timing = row.timing
    if timing.speedup is None:
        return f"| {timing.stack} | {timing.obstacle} | | | |"
    median, low, high = timing.speedup
    mean, least = row.psnr
    return (
        f"| {timing.stack} | {median:.2f}x [{low:.2f}, {high:.2f}], n={timing.n} "
        f"| {timing.baseline_s:.2f} -> {timing.accelerated_s:.2f} "
        f"| {mean:.1f}, {least:.1f} dB | {timing.verdict} |"
    )


if __name__ == "__main__":
    main()
