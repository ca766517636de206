"""What a stack costs once: installing it, and a first video that is slower than a later one.

Run as `python -m sol.search.start_probe` with a question on stdin (`sol.search.fresh_process`).
The process makes a baseline video first, so that its own start is not charged to the stack, and
its caches of compiled code are empty folders: what another process compiled before does not help.
A deployment that keeps those folders starts faster the next time.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict

from sol.search.fresh_process import Question, ask, load, read_question
from sol.search.records import ColdStart

_STEADY_VIDEOS = 2


def measure_cold_start(question: Question) -> ColdStart | None:
    """Seconds; None where the process failed or took too long."""
    answer = ask("sol.search.start_probe", question)
    return None if answer is None else ColdStart(**answer)


def _answer(question: Question) -> ColdStart:
    import torch

    from sol.runtime.applied import install_stack
    from sol.runtime.render import render

    pipeline = load(question)

    def make_video() -> None:
        render(pipeline, question.workload, *question.pair)
        if question.device == "cuda":
            torch.cuda.synchronize()

    make_video()
    install_s = _time(lambda: install_stack(pipeline, question.stack))
    first_s = _time(make_video)
    steady_s = min(_time(make_video) for _ in range(_STEADY_VIDEOS))
    return ColdStart(install_s, first_s, steady_s)


def _time(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="sol-cold-start-") as folder:
        # Before PyTorch is imported, which reads them then.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        os.environ["TRITON_CACHE_DIR"] = folder
        cold_start = _answer(read_question(sys.stdin.read()))
    sys.stdout.write(json.dumps(asdict(cold_start)))
