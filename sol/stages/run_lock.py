"""One driver a run: its folder is locked while one is at work there."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sol.errors import OutputError, SolError

FILE = ".lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Locks a run's folder. The lock ends with the process, however that ends.

    Raises:
        SolError: Another process holds it.
        OutputError: The folder cannot be written.
    """
    path = folder / FILE
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SolError(_describe_holder(folder, path)) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _describe_holder(folder: Path, path: Path) -> str:
    holder = path.read_text(encoding="utf-8") or "another process"
    return (
        f"{folder} is in use: {holder} works on this run. Wait for it to end, or stop it, "
        "then go on."
    )
