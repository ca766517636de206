"""One server for a reviewer: a second one could ask what the first one has asked already."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import Any

from sol.validator.review.plan import ReviewError


class ServerLock:
    """Held while a server runs. The kernel frees it however that ends: none is ever stale."""

    def __init__(self, path: Path) -> None:
        """Takes the lock and writes who has it.

        Raises:
            ReviewError: Another process has it, or the file cannot be written.
        """
        try:
            self._file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise ReviewError(f"{path} cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _read_holder(path)
            self._file.close()
            raise ReviewError(
                f"This reviewer's page is open already: {holder} serves it. Go on there, or end "
                "that one with Ctrl-C; another person needs another --reviewer."
            ) from None
        self._file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, self._file)
        self._file.flush()

    def release(self) -> None:
        """Lets another server begin."""
        self._file.close()


def _read_holder(path: Path) -> str:
    try:
        holder: Any = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
