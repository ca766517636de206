"""What quantization and kernel fusion bring end to end, alone and together.

    python benchmarks/stack.py --out benchmarks/results/cpu --gate      # pocket, with the gate
    python benchmarks/stack.py --out benchmarks/results/h200            # on a CUDA machine

Every stack is timed against the baseline, interleaved, in one process. On a CPU that is whole
videos of pocket, and with `--gate` (it needs the `tune` extra) the fastest stack without a lossy
technique and the fastest three with one are judged on held-out prompts. On CUDA it is the
denoising loop of models at their real dimensions with random weights: their speed is real, their
quality is none, and nothing is said of it. Needs torch and diffusers only. Writes a JSON file and
a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from large_models import LARGE_MODELS

from sol.deploy import stack_of
from sol.errors import SolError
from sol.measure.hardware import probe, versions
from sol.measure.timing import PairedTiming, time_pairs
from sol.models.loading import load_model
from sol.models.prompts import calibration_prompts
from sol.recipe import load_recipe
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import denoise, render
from sol.skills.registry import get_technique
from sol.target import Workload
from sol.technique import Stack, StackItem

_SEED = 10_000
_N_LOSSY_JUDGED = 3


def _stack(*items: tuple[str, dict[str, Any]]) -> Stack:
    return tuple(StackItem(technique, config) for technique, config in items)


_REGIONAL = ("regional_compile", {})
_FULL = ("full_compile", {})
_PACKED = ("packed_linear", {})
_PREFIX = ("shared_prefix", {})
_ROWS = ("int8_rows", {"full_first": 2, "full_last": 1})
_HALF = ("step_mask", {"skip": "9,11,13,15,17,19,21"})

CPU_STACKS = (
    _stack(_REGIONAL),
    _stack(_FULL),
    _stack(_PACKED),
    _stack(_PREFIX),
    _stack(("fused_qkv", {})),
    _stack(_REGIONAL, _PACKED),
    _stack(_FULL, _PACKED, _PREFIX),
    _stack(("int8_dynamic", {})),
    _stack(("int8_torchao", {})),
    _stack(("bf16_linear", {})),
    _stack(_REGIONAL, ("int8_rows", {})),
    _stack(_REGIONAL, ("bf16_linear", {})),
    _stack(_FULL, _PACKED, _PREFIX, _ROWS),
    _stack(_FULL, _PREFIX, ("bf16_linear", {})),
    _stack(_FULL, _PREFIX, ("bf16_linear", {}), _HALF),
)

CUDA_STACKS = (
    _stack(_REGIONAL),
    _stack(_FULL),
    _stack(("regional_compile", {"kernels": "triton"})),
    _stack(_PREFIX),
    _stack(("fused_qkv", {})),
    _stack(("attention_backend", {"backend": "_native_cudnn"})),
    _stack(_REGIONAL, ("fp8", {"granularity": "row"})),
    _stack(_REGIONAL, ("fp8", {"granularity": "tensor"})),
    _stack(_REGIONAL, ("int8_torchao", {})),
    _stack(_REGIONAL, ("weight_only", {"format": "int8"})),
)


@dataclass(frozen=True)
class Row:
    """One stack on one model.

    Attributes:
        first_s: Seconds of the first run with the stack, compilation included.
        install_s: Seconds until the stack was installed.
        obstacle: Why there are no numbers, if there are none.
    """

    model: str
    stack: str
    timing: PairedTiming | None = None
    first_s: float | None = None
    install_s: float | None = None
    verdict: str = ""
    obstacle: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data: dict[str, Any] = {"model": self.model, "stack": self.stack}
        if self.timing is None:
            return data | {"obstacle": self.obstacle}
        speedup = self.timing.speedup
        return data | {
            "speedup": [speedup.median, speedup.low, speedup.high],
            "n": speedup.n,
            "baseline_s": self.timing.baseline.median,
            "accelerated_s": self.timing.accelerated.median,
            "first_s": self.first_s,
            "install_s": self.install_s,
            "verdict": self.verdict,
        }

    @property
    def pays_after(self) -> str:
        """Videos after which the seconds before the first steady one are won back."""
        assert self.timing is not None and self.first_s is not None
        assert self.install_s is not None
        steady = self.timing.accelerated.median
        saved = self.timing.baseline.median - steady
        cost = self.install_s + self.first_s - steady
        return f"{max(cost, 0.0) / saved:.0f} videos" if saved > 0 else "never"


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--gate", action="store_true", help="Judge the fastest, on a CPU only.")
    parser.add_argument("--recipe", type=Path, nargs="*", default=[], help="Further stacks.")
    parser.add_argument("--only", default="", help="Stacks with this technique.")
    parser.add_argument("--models", nargs="*", default=list(LARGE_MODELS), help="On CUDA.")
    parser.add_argument("--out", type=Path, required=True, help="Without a suffix.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    is_cuda = torch.cuda.is_available()
    stacks = [*(CUDA_STACKS if is_cuda else CPU_STACKS)]
    stacks += [stack_of(load_recipe(path)) for path in args.recipe]
    stacks = [stack for stack in stacks if args.only in _label(stack)]
    for pipeline, workload, name, run in _targets(is_cuda, args.models):
        for stack in stacks:
            rows.append(_measure(pipeline, workload, name, run, stack, args.pairs))
            print(_markdown_row(rows[-1]), flush=True)
    if args.gate and not is_cuda:
        rows = _judge(rows, stacks)
    _write(args.out, rows)


Run = Callable[[Any, Workload], object]


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


def _measure(
    pipeline: Any, workload: Workload, name: str, run: Run, stack: Stack, n_pairs: int
) -> Row:
    device = str(pipeline.device.type)
    torch._dynamo.reset()
    clone = clone_pipeline(pipeline)
    try:
        start = time.perf_counter()
        applied = install_stack(clone, stack)
        installed = time.perf_counter()
        run(clone, workload)
        _synchronize(device)
        first_s = time.perf_counter() - installed
        timing = time_pairs(
            lambda: run(pipeline, workload),
            lambda: run(clone, workload),
            n_pairs=n_pairs,
            warmup=1,
            synchronize=lambda: _synchronize(device),
            clock=time.perf_counter,
            device=probe(device).name,
        )
        applied.require_engaged()
    except SolError as error:
        return Row(name, _label(stack), obstacle=str(error))
    applied.undo()
    return Row(name, _label(stack), timing, first_s, installed - start)


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _judge(rows: list[Row], stacks: Sequence[Stack]) -> list[Row]:
    """The fastest, each by a gate of its own: as the first stack of a run would be."""
    from dataclasses import replace

    from sol.models.catalog import default_gate
    from sol.search.crew import Crew
    from sol.search.executors.inline import InlineExecutor
    from sol.search.worker import WorkerPlan
    from sol.stages.evidence import GateSetting
    from sol.stages.gate import Gate
    from sol.validator.profile import load_profile

    judged = []
    with tempfile.TemporaryDirectory() as folder, closing(InlineExecutor()) as executor:
        infos = executor.start_workers(WorkerPlan("pocket", "cpu", None, {}, Path(folder)))
        crew = Crew(executor, infos)
        profile = load_profile(default_gate("pocket"))
        setting = GateSetting(
            profile, infos[0].prompts, infos[0].workload.frame_rate, Path(folder)
        )
        fastest = _find_fastest(rows, stacks)
        for row, stack in zip(rows, stacks, strict=True):
            if row not in fastest:
                judged.append(row)
                continue
            verdict = Gate(crew, setting).judge(stack).verdict
            reason = verdict.reasons[0].split(":")[0] if verdict.reasons else ""
            judged.append(replace(row, verdict=f"{verdict.verdict} {reason}".strip()))
            print(_markdown_row(judged[-1]), flush=True)
    return judged


def _find_fastest(rows: Sequence[Row], stacks: Sequence[Stack]) -> list[Row]:
    faster = [
        (row.timing.speedup.median, row, _is_lossy(stack))
        for row, stack in zip(rows, stacks, strict=True)
        if row.timing is not None and row.timing.speedup.low > 1.0
    ]
    faster.sort(key=lambda entry: -entry[0])
    lossy = [row for _, row, lossy in faster if lossy]
    equal = [row for _, row, lossy in faster if not lossy]
    return [*equal[:1], *lossy[:_N_LOSSY_JUDGED]]


def _is_lossy(stack: Stack) -> bool:
    """Whether a member may change the video beyond rounding."""
    return any(get_technique(item.technique).exactness == "lossy" for item in stack)


def _label(stack: Stack) -> str:
    """Techniques with the settings that a person can read: no fitted tables."""
    parts = []
    for item in stack:
        short = {k: v for k, v in item.config.items() if not isinstance(v, list | dict)}
        parts.append(" ".join([item.technique, *(f"{k} {v}" for k, v in short.items())]))
    return " + ".join(parts)


def _write(out: Path, rows: list[Row]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hardware = probe(device).name
    found = versions()
    data = {"hardware": hardware, "versions": found, "rows": [row.to_json() for row in rows]}
    out.with_suffix(".json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    of = ", ".join(f"{name} {found[name]}" for name in ("torch", "diffusers") if name in found)
    head = (
        "| model | stack | speed-up | seconds | before it is steady | pays after | gate |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    body = "\n".join(_markdown_row(row) for row in rows)
    note = (
        "\n\nMedians with 95% bootstrap intervals of paired ratios; interleaved in one process"
        + (", random weights: speed only." if device == "cuda" else ", one thread.")
        + " What comes before it is steady is installing and the first run, with what earlier "
        "rows left in Inductor's cache on disk; a recipe states it with an empty one.\n"
    )
    text = f"# Quantization and kernel fusion, {hardware}, {of}\n\n{head}{body}{note}"
    out.with_suffix(".md").write_text(text, encoding="utf-8")


def _markdown_row(row: Row) -> str:
    if row.timing is None or row.first_s is None or row.install_s is None:
        return f"| {row.model} | {row.stack} | {row.obstacle} | | | | |"
    speedup = row.timing.speedup
    before = row.install_s + row.first_s - row.timing.accelerated.median
    return (
        f"| {row.model} | {row.stack} "
        f"| {speedup.median:.2f}x [{speedup.low:.2f}, {speedup.high:.2f}], n={speedup.n} "
        f"| {row.timing.baseline.median:.3f} -> {row.timing.accelerated.median:.3f} "
        f"| {max(before, 0.0):.1f} s | {row.pays_after} | {row.verdict} |"
    )


if __name__ == "__main__":
    main()
