"""What quantization and kernel fusion bring end to end, alone and together.

    python benchmarks/stack.py --out benchmarks/results/cpu           # pocket, timed
    python benchmarks/stack.py --out benchmarks/results/cpu --gate    # the fastest of them, judged
    python benchmarks/stack.py --out benchmarks/results/h200          # on a CUDA machine

Every stack is timed against the baseline, interleaved, in one process. On a CPU that is whole
videos of pocket. On CUDA it is the denoising loop of models at their real dimensions with random
weights: their speed is real, their quality is none, and nothing is said of it. Needs torch and
diffusers only. Writes a JSON file and a Markdown table after every row.

With `--gate` (it needs the `tune` extra) nothing is timed: of the stacks in the file, the fastest
without a lossy technique and the fastest two with one are judged on held-out prompts.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from large_models import LARGE_MODELS
from timed_stacks import (
    Row,
    Run,
    label_of,
    make_stack,
    markdown_row,
    read_rows,
    time_stack,
    write_rows,
)

from sol.models.loading import load_model
from sol.models.prompts import calibration_prompts
from sol.runtime.render import denoise, render
from sol.skills.registry import get_technique
from sol.target import Workload
from sol.technique import Stack

_TITLE = "Quantization and kernel fusion"
_SEED = 10_000
_N_LOSSY_JUDGED = 2


_REGIONAL = ("regional_compile", {})
_FULL = ("full_compile", {})
_PACKED = ("packed_linear", {})
_PREFIX = ("shared_prefix", {})
_ROWS = ("int8_rows", {"full_first": 2, "full_last": 1})
_HALF = ("step_mask", {"skip": "9,11,13,15,17,19,21"})

CPU_STACKS = (
    make_stack(_REGIONAL),
    make_stack(_FULL),
    make_stack(_PACKED),
    make_stack(_PREFIX),
    make_stack(("fused_qkv", {})),
    make_stack(_REGIONAL, _PACKED),
    make_stack(_FULL, _PACKED, _PREFIX),
    make_stack(("int8_dynamic", {})),
    make_stack(("int8_torchao", {})),
    make_stack(("bf16_linear", {})),
    make_stack(_REGIONAL, ("int8_rows", {})),
    make_stack(_REGIONAL, ("bf16_linear", {})),
    make_stack(_FULL, _PACKED, _PREFIX, _ROWS),
    make_stack(_FULL, _PREFIX, ("bf16_linear", {})),
    make_stack(_FULL, _PREFIX, ("bf16_linear", {}), _HALF),
)

CUDA_STACKS = (
    make_stack(_REGIONAL),
    make_stack(_FULL),
    make_stack(("regional_compile", {"kernels": "triton"})),
    make_stack(_PREFIX),
    make_stack(("fused_qkv", {})),
    make_stack(("attention_backend", {"backend": "_native_cudnn"})),
    make_stack(_REGIONAL, ("fp8", {"granularity": "row"})),
    make_stack(_REGIONAL, ("fp8", {"granularity": "tensor"})),
    make_stack(_REGIONAL, ("int8_torchao", {})),
    make_stack(_REGIONAL, ("weight_only", {"format": "int8"})),
)


def main() -> None:
    """Measures or judges, and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--gate", action="store_true", help="Judge the fastest in the file.")
    parser.add_argument("--only", default="", help="Stacks with this technique.")
    parser.add_argument("--models", nargs="*", default=list(LARGE_MODELS), help="On CUDA.")
    parser.add_argument("--out", type=Path, required=True, help="Without a suffix.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.gate:
        _judge(args.out)
        return
    rows: list[Row] = []
    is_cuda = torch.cuda.is_available()
    stacks = [s for s in (CUDA_STACKS if is_cuda else CPU_STACKS) if args.only in label_of(s)]
    for pipeline, workload, name, run in _targets(is_cuda, args.models):
        for stack in stacks:
            rows.append(time_stack(pipeline, workload, name, run, stack, args.pairs))
            print(markdown_row(rows[-1]), flush=True)
            write_rows(args.out, rows, _TITLE)


def _targets(is_cuda: bool, names: Sequence[str]) -> list[tuple[Any, Workload, str, Run]]:
    if not is_cuda:
        loaded = load_model("pocket", "cpu")
        prompt = calibration_prompts(loaded.prompts, 1)[0]
        return [
            (
                loaded.pipeline,
                loaded.workload,
                "pocket",
                lambda pipeline, workload: render(pipeline, workload, prompt, _SEED),
            )
        ]
    targets: list[tuple[Any, Workload, str, Run]] = []
    for name in names:
        pipeline, workload = LARGE_MODELS[name]()
        targets.append((pipeline, workload, name, lambda p, w: denoise(p, w, "a red ball", _SEED)))
    return targets


def _judge(out: Path) -> None:
    """The fastest that were not judged yet."""
    from judged_stacks import judge_stacks

    rows = read_rows(out)
    stacks = {label_of(stack): stack for stack in CPU_STACKS}
    chosen = _find_fastest(rows, stacks)
    verdicts = judge_stacks("pocket", [stacks[rows[index].stack] for index in chosen])
    for index, verdict in zip(chosen, verdicts, strict=True):
        rows[index] = replace(rows[index], verdict=verdict)
        print(markdown_row(rows[index]), flush=True)
        write_rows(out, rows, _TITLE)


def _find_fastest(rows: Sequence[Row], stacks: Mapping[str, Stack]) -> list[int]:
    """Indices of rows that are to be judged and were not."""
    faster = sorted(
        (row.speedup[0], index)
        for index, row in enumerate(rows)
        if row.speedup is not None and row.speedup[1] > 1.0
    )
    lossy = [index for _, index in faster if _is_lossy(stacks[rows[index].stack])]
    equal = [index for _, index in faster if index not in lossy]
    fastest = (*equal[-1:], *lossy[-_N_LOSSY_JUDGED:])
    return [index for index in fastest if not rows[index].verdict]


def _is_lossy(stack: Stack) -> bool:
    """Whether a member may change the video beyond rounding."""
    return any(get_technique(item.technique).exactness == "lossy" for item in stack)


if __name__ == "__main__":
    main()
