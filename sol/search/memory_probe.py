"""Peak resident memory of a process that makes one video, with a stack or without.

Run as `python -m sol.search.memory_probe` with a question on stdin (`sol.search.fresh_process`).
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from sol.search.fresh_process import Question, ask, load, read_question

_STATUS = Path("/proc/self/status")
_KIB = 1024


def measure_process_peak(question: Question) -> int | None:
    """Bytes; None where the process failed."""
    answer: int | None = ask("sol.search.memory_probe", question)
    return answer


def _answer(question: Question) -> int:
    from sol.runtime.applied import install_stack
    from sol.runtime.render import render

    pipeline = load(question)
    install_stack(pipeline, question.stack)
    render(pipeline, question.workload, *question.pair)
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
    sys.stdout.write(str(_answer(read_question(sys.stdin.read()))))
