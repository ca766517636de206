"""Small files that are there whole or not at all, whenever a process is killed."""

from __future__ import annotations

import os
from pathlib import Path

from sol.errors import OutputError


def write_whole(path: Path, text: str) -> None:
    """Replaces the file.

    Raises:
        OutputError: It cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror}. Free some space, or choose another folder."
        ) from error
