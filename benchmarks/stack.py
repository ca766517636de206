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
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from large_models import LARGE_MODELS

from sol.errors import SolError
from sol.measure.hardware import probe, versions
from sol.measure.timing import time_pairs
from sol.models.loading import load_model
from sol.models.prompts import calibration_prompts
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import denoise, render
from sol.skills.registry import get_technique
from sol.target import Workload
from sol.technique import Stack, StackItem

_SEED = 10_000
_N_LOSSY_JUDGED = 2


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
    """One stack on one model, as it stands in the file.

    Attributes:
        speedup: Median and 95% interval of the paired ratios.
        first_s: Seconds of the first run with the stack, compilation included.
        install_s: Seconds until the stack was installed.
        verdict: The gate's, where it was asked.
        obstacle: Why there are no numbers, if there are none.
    """

    model: str
    stack: str
    speedup: tuple[float, float, float] | None = None
    n: int = 0
    baseline_s: float = 0.0
    accelerated_s: float = 0.0
    first_s: float = 0.0
    install_s: float = 0.0
    verdict: str = ""
    obstacle: str = ""

    @property
    def start_s(self) -> float:
        """Seconds before the first steady run."""
        return max(self.install_s + self.first_s - self.accelerated_s, 0.0)

    @property
    def pays_after(self) -> str:
        """Videos after which these seconds are won back."""
        saved = self.baseline_s - self.accelerated_s
        return f"{self.start_s / saved:.0f} videos" if saved > 0 else "never"


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
    stacks = [s for s in (CUDA_STACKS if is_cuda else CPU_STACKS) if args.only in _label(s)]
    for pipeline, workload, name, run in _targets(is_cuda, args.models):
        for stack in stacks:
            rows.append(_measure(pipeline, workload, name, run, stack, args.pairs))
            print(_markdown_row(rows[-1]), flush=True)
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
    ratio = timing.speedup
    return Row(
        name,
        _label(stack),
        speedup=(ratio.median, ratio.low, ratio.high),
        n=ratio.n,
        baseline_s=timing.baseline.median,
        accelerated_s=timing.accelerated.median,
        first_s=first_s,
        install_s=installed - start,
    )


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _judge(out: Path) -> None:
    """The fastest, each by a gate of its own: as the first stack of a run would be."""
    from sol.models.catalog import default_gate
    from sol.search.crew import Crew
    from sol.search.executors.inline import InlineExecutor
    from sol.search.worker import WorkerPlan
    from sol.stages.evidence import GateSetting
    from sol.stages.gate import Gate
    from sol.validator.profile import load_profile

    rows = _read(out)
    stacks = {_label(stack): stack for stack in CPU_STACKS}
    with tempfile.TemporaryDirectory() as folder, closing(InlineExecutor()) as executor:
        infos = executor.start_workers(WorkerPlan("pocket", "cpu", None, {}, Path(folder)))
        crew = Crew(executor, infos)
        profile = load_profile(default_gate("pocket"))
        setting = GateSetting(
            profile, infos[0].prompts, infos[0].workload.frame_rate, Path(folder)
        )
        for index in _find_fastest(rows, stacks):
            verdict = Gate(crew, setting).judge(stacks[rows[index].stack]).verdict
            reason = verdict.reasons[0].split(":")[0] if verdict.reasons else ""
            rows[index] = replace(rows[index], verdict=f"{verdict.verdict} {reason}".strip())
            print(_markdown_row(rows[index]), flush=True)
            _write(out, rows)


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


def _label(stack: Stack) -> str:
    """Techniques with the settings that a person can read: no fitted tables."""
    parts = []
    for item in stack:
        short = {k: v for k, v in item.config.items() if not isinstance(v, list | dict)}
        parts.append(" ".join([item.technique, *(f"{k} {v}" for k, v in short.items())]))
    return " + ".join(parts)


def _read(out: Path) -> list[Row]:
    data = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    return [Row(**row) for row in data["rows"]]


def _write(out: Path, rows: Sequence[Row]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hardware, found = probe(device).name, versions()
    data = {"hardware": hardware, "versions": found, "rows": [asdict(row) for row in rows]}
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
    if row.speedup is None:
        return f"| {row.model} | {row.stack} | {row.obstacle} | | | | |"
    median, low, high = row.speedup
    return (
        f"| {row.model} | {row.stack} | {median:.2f}x [{low:.2f}, {high:.2f}], n={row.n} "
        f"| {row.baseline_s:.3f} -> {row.accelerated_s:.3f} "
        f"| {row.start_s:.1f} s | {row.pays_after} | {row.verdict} |"
    )


if __name__ == "__main__":
    main()
