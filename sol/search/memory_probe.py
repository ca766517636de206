"""Peak resident memory of a process that makes one video, with a stack or without.

Run as `python -m sol.search.memory_probe` with a JSON document on stdin. A worker cannot say it of
itself: it holds both pipelines, and its allocator keeps what earlier trials freed.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sol.target import Workload
from sol.technique import Stack, StackItem

_LIMIT_S = 300
_STATUS = Path("/proc/self/status")
_KIB = 1024


def measure_process_peak(
    model: str, workload: Workload, stack: Stack, pair: tuple[str, int], threads: int
) -> int | None:
    """Bytes; None where the process failed."""
    question = {
        "model": model,
        "workload": asdict(workload),
        "stack": [asdict(item) for item in stack],
        "pair": pair,
        "threads": threads,
    }
    result = subprocess.run(
        [sys.executable, "-m", "sol.search.memory_probe"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    return int(result.stdout) if result.returncode == 0 else None


def _answer(question: Mapping[str, Any]) -> int:
    import torch
    from pydantic import TypeAdapter

    from sol.models.loading import load_model
    from sol.runtime.applied import install_stack
    from sol.runtime.render import render
    from sol.validation import validate_plain

    torch.set_num_threads(question["threads"])
    workload = Workload(**question["workload"])
    stack = validate_plain(TypeAdapter(tuple[StackItem, ...]), question["stack"])
    pipeline = load_model(question["model"], "cpu", workload.dtype).pipeline
    install_stack(pipeline, stack)
    prompt, seed = question["pair"]
    render(pipeline, workload, prompt, seed)
    return _own_peak()


def _own_peak() -> int:
    """Peak resident bytes of this process.

    Not ru_maxrss on Linux: it survives exec, so a child starts at its parent's size.
    """
    if not _STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kib) * _KIB


if __name__ == "__main__":
    sys.stdout.write(str(_answer(json.load(sys.stdin))))
