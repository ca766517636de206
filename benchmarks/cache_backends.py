"""Sol's caches against cache-dit and diffusers' FirstBlockCache: same model, gate, process.

    python benchmarks/cache_backends.py --plans 14 12 11 10 --out benchmarks/results/cache-pocket

Of each library five settings around its defaults are taken, with what its documentation calls
faster and slower. Of Sol, plans with so many computed steps, made from six calibration prompts as
`sol tune` makes them, and the stack of a recipe with `--recipe`. Every row goes through the gate
on its held-out pairs, and is timed against the baseline, interleaved, in this process. Writes a
JSON file and a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.deploy import stack_of
from sol.models.catalog import default_gate
from sol.models.prompts import calibration_prompts
from sol.recipe import load_recipe
from sol.schedule import parse_range
from sol.search.crew import TRIAL_LIMIT_S, Crew, Job
from sol.search.executors.inline import InlineExecutor
from sol.search.records import Speed, WorkerInfo
from sol.search.worker import Pair, WorkerPlan
from sol.stages.evidence import GateSetting
from sol.stages.gate import Gate, GateResult
from sol.technique import Stack, StackItem
from sol.validator.profile import load_profile

_N_CALIBRATION = 6


@dataclass(frozen=True)
class Entrant:
    """One setting in the comparison."""

    source: str
    setting: str
    stack: Stack


def _cache_dit(**changes: Any) -> Entrant:
    # The library's defaults: Fn 8 is all of pocket's blocks, so half of them here.
    config = {
        "Fn_compute_blocks": 4,
        "Bn_compute_blocks": 0,
        "max_warmup_steps": 8,
        "residual_diff_threshold": 0.08,
        "max_continuous_cached_steps": -1,
        **changes,
    }
    shown = ", ".join(f"{key} {value}" for key, value in changes.items()) or "its defaults, Fn 4"
    return Entrant("cache-dit", shown, (StackItem("cache_dit", config),))


def _first_block(threshold: float, warmup: int) -> Entrant:
    config = {"threshold": threshold, "warmup": warmup}
    shown = f"threshold {threshold}, warm-up {warmup}"
    return Entrant("diffusers FBC", shown, (StackItem("diffusers_first_block", config),))


RIVALS = (
    _cache_dit(),
    _cache_dit(Fn_compute_blocks=1),
    _cache_dit(Fn_compute_blocks=1, max_warmup_steps=4, residual_diff_threshold=0.12),
    _cache_dit(
        Fn_compute_blocks=1,
        max_warmup_steps=4,
        residual_diff_threshold=0.2,
        max_continuous_cached_steps=2,
    ),
    _cache_dit(
        Fn_compute_blocks=1,
        max_warmup_steps=4,
        residual_diff_threshold=0.2,
        max_continuous_cached_steps=2,
        taylorseer_order=1,
    ),
    _first_block(0.05, 1),
    _first_block(0.08, 4),
    _first_block(0.1, 4),
    _first_block(0.15, 4),
    _first_block(0.2, 6),
)


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--recipe", type=Path, help="Of this model: its stack is one more row.")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--plans", type=int, nargs="*", default=[], help="Computed steps.")
    parser.add_argument("--out", type=Path, required=True, help="Without a suffix.")
    args = parser.parse_args()
    found = _of_recipe(args.recipe) if args.recipe else []
    with tempfile.TemporaryDirectory() as folder, closing(InlineExecutor()) as executor:
        infos = executor.start_workers(WorkerPlan(args.model, "cpu", None, {}, Path(folder)))
        crew = Crew(executor, infos)
        profile = load_profile(default_gate(args.model))
        fps = infos[0].workload.frame_rate
        setting = GateSetting(profile, infos[0].prompts, fps, Path(folder))
        plans = _make_plans(crew, infos[0], args.plans) if args.plans else []
        rows = []
        for entrant in (*found, *plans, *RIVALS):
            # A gate of its own: each row is judged as the first stack of a run would be.
            gate = Gate(crew, setting)
            result = gate.judge(entrant.stack)
            speed = _time(crew, entrant.stack, gate.first_pair, args.pairs)
            rows.append(_row(entrant, result, speed))
            print(_markdown_row(rows[-1]), flush=True)
    _write(args.out, args.model, infos[0].hardware.name, rows)


def _of_recipe(path: Path) -> list[Entrant]:
    stack = stack_of(load_recipe(path))
    return [Entrant("Sol", _label(stack), stack)]


def _make_plans(crew: Crew, info: WorkerInfo, sizes: Sequence[int]) -> list[Entrant]:
    """The plans of `sizes` computed steps, chosen among their rivals as `sol tune` does."""
    prompts = calibration_prompts(info.prompts, _N_CALIBRATION)
    pairs = tuple((prompt, seed) for seed, prompt in enumerate(prompts))
    diagnosis = crew.run(Job("diagnose", (pairs[:3],), TRIAL_LIMIT_S))
    n_steps = info.workload.steps
    entrants = []
    for group in crew.run(Job("rivals", ("cache", diagnosis), TRIAL_LIMIT_S))["planned"]:
        size = n_steps - len(parse_range(group[0]["skip"], n_steps))
        if size in sizes:
            errors = crew.run(Job("latent_errors", ("planned", group, pairs), TRIAL_LIMIT_S))
            stack = (StackItem("planned", group[errors.index(min(errors))]),)
            entrants.append(Entrant("Sol", f"{_label(stack)} ({size} of {n_steps})", stack))
    return entrants


def _time(crew: Crew, stack: Stack, pair: Pair, n_pairs: int) -> Speed | None:
    job = Job("measure_speed", (stack, pair, n_pairs), TRIAL_LIMIT_S, is_timing=True)
    done = crew.run_all([job])[0]
    return done.value if done.failure is None else None


def _row(entrant: Entrant, gate: GateResult, speed: Speed | None) -> dict[str, Any]:
    psnrs = [record.paired["psnr"] for record in gate.pairs if record.paired]
    return {
        "library": entrant.source,
        "setting": entrant.setting,
        "speedup": speed and [speed.median, speed.low, speed.high],
        "n": speed and speed.n,
        "psnr": statistics.mean(psnrs) if psnrs else None,
        "worst_psnr": min(psnrs, default=None),
        "videos": len(psnrs),
        "verdict": gate.verdict.verdict,
        "reasons": list(gate.verdict.reasons),
    }


def _label(stack: Stack) -> str:
    """Techniques with the settings that a person can read: no fitted tables."""
    parts = []
    for item in stack:
        short = {k: v for k, v in item.config.items() if k in ("skip", "threshold", "reuse")}
        parts.append(" ".join([item.technique, *(f"{k} {v}" for k, v in short.items())]))
    return " + ".join(parts)


def _write(out: Path, model: str, hardware: str, rows: list[dict[str, Any]]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    result = {"model": model, "hardware": hardware, "rows": rows}
    out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    head = (
        "| library | setting | speed-up | PSNR mean, worst (dB) | gate |\n|---|---|---|---|---|\n"
    )
    body = "\n".join(_markdown_row(row) for row in rows)
    text = f"# Caches on {model}, {hardware}\n\n{head}{body}\n"
    out.with_suffix(".md").write_text(text, encoding="utf-8")


def _markdown_row(row: dict[str, Any]) -> str:
    speed = "not timed"
    if row["speedup"]:
        median, low, high = row["speedup"]
        speed = f"{median:.2f}x [{low:.2f}, {high:.2f}], n={row['n']}"
    quality = "" if row["psnr"] is None else f"{row['psnr']:.1f}, {row['worst_psnr']:.1f}"
    reason = row["reasons"][0].split(":")[0] if row["reasons"] else ""
    verdict = f"{row['verdict']} {reason}".strip()
    return f"| {row['library']} | {row['setting']} | {speed} | {quality} | {verdict} |"


if __name__ == "__main__":
    main()
