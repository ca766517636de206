"""Ends what a killed driver left behind on its machine.

Ray's processes end by themselves when their driver is killed, but where that happens while Ray
starts, some were seen to live on for more than a minute. So every process of a local Ray carries a
mark in its environment, and a process of its own waits for the driver's end and kills what has it.

Ray's agents write their title over their environment, mark and all. They stay in the driver's
process group, as workers do not: one whose raylet is gone is known by that.

Runs as a script, which imports nothing of Sol: it must be there before Ray is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MARK = "SOL_DRIVER_MARK"
_PATIENCE_S = 10.0
"""How long it looks for what was being started when the driver died."""
_QUIET_S = 1.0
_AGENT_TITLE = b"ray::"


class Reaper:
    """Marks what is started inside of `marking`, and has it killed when this process dies."""

    def __init__(self) -> None:
        self._mark = uuid.uuid4().hex
        held, self._held_by_us = os.pipe()
        # No other process holds the end that it waits for.
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__, self._mark, str(os.getpgrp())],
            stdin=held,
            start_new_session=True,
        )
        os.close(held)

    @contextmanager
    def marking(self) -> Iterator[None]:
        """What is started meanwhile, and what that starts later, has the mark."""
        os.environ[_MARK] = self._mark
        try:
            yield
        finally:
            del os.environ[_MARK]

    def close(self) -> None:
        """Kills what is left, and ends."""
        os.close(self._held_by_us)
        self._process.wait()


def _reap(mark: str, group: int) -> None:
    """Until none was seen for a while: a process may be about to start another."""
    deadline = time.monotonic() + _PATIENCE_S
    quiet_since = time.monotonic()
    while time.monotonic() < min(deadline, quiet_since + _QUIET_S):
        for number in (*_marked(mark), *_orphaned_agents(group)):
            quiet_since = time.monotonic()
            _kill(number)
        time.sleep(0.1)


def _marked(mark: str) -> list[int]:
    entry = f"{_MARK}={mark}".encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ")
            if entry in _read(path)]  # fmt: skip


def _orphaned_agents(group: int) -> list[int]:
    """Ray's processes of this process group that have outlived their raylet."""
    agents = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if not _read(path).startswith(_AGENT_TITLE):
            continue
        parent, own_group = _parent_and_group(path.with_name("stat"))
        if own_group == group and b"/raylet" not in _read(Path(f"/proc/{parent}/cmdline")):
            agents.append(int(path.parent.name))
    return agents


def _parent_and_group(stat: Path) -> tuple[int, int]:
    """Fields 4 and 5 of a process's stat; the second one, a name in brackets, may hold spaces."""
    fields = _read(stat).rpartition(b")")[2].split()
    return (int(fields[1]), int(fields[2])) if fields else (0, 0)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        # It has ended, or belongs to somebody else.
        return b""


def _kill(number: int) -> None:
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.stdin.buffer.read()
    _reap(sys.argv[1], int(sys.argv[2]))
