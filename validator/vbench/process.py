"""Running the worker: to its end, or ended with everything it started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sol.validator.vbench.error import VBenchError

_LAST_CHARACTERS = 600


def run_to_end(command: Sequence[str], log: Path, timeout_s: float) -> int:
    """Runs a command in a process group of its own; returns its exit code.

    Args:
        log: Takes its stdout and stderr.
        timeout_s: Then the whole group is killed.

    Raises:
        VBenchError: It could not start, was killed by a signal, or was not done in time.
    """
    process = _start(command, log)
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise VBenchError(
            f"VBench's worker must be done in {timeout_s:g} s and was not, so it was ended: ask "
            f"for fewer videos or dimensions, or give it more time.{last_words(log)}"
        ) from None
    finally:
        # Also when this process is interrupted: a judge that nobody waits for keeps the GPU.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    _check_not_killed(code, log)
    return code


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise VBenchError(
                f"VBench's worker could not start: {error}. Run `sol vbench setup`."
            ) from error


def last_words(log: Path) -> str:
    """The end of what a worker printed, as a sentence to add to an error."""
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return f" It last printed: {text[-_LAST_CHARACTERS:]}" if text else ""


def _check_not_killed(code: int, log: Path) -> None:
    if code >= 0:
        return
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    remedy = (
        "the machine may have run out of memory; ask for fewer dimensions or shorter videos"
        if -code == signal.SIGKILL
        else "run it again"
    )
    raise VBenchError(f"VBench's worker was killed by {name}: {remedy}.{last_words(log)}")
