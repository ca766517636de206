"""Files of JSON lines that a killed process may have left in the middle of a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sol.errors import SolError


def cut_torn_line(path: Path) -> None:
    """Cuts off what stands after the last line that was written whole.

    What is appended later would be glued to it. Call it only where nobody else writes.
    """
    if not path.exists():
        return
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    if lines and not _is_whole(lines[-1]):
        cut_last_line(path)


def cut_last_line(path: Path) -> None:
    """Removes the last line, whole or not."""
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(data.rstrip(b"\n").rfind(b"\n") + 1)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Every line of a file that was repaired by `cut_torn_line`.

    Raises:
        SolError: A line is broken although others follow.
    """
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            found.append(json.loads(line))
        except ValueError as error:
            raise SolError(
                f"{path}, line {number}, is damaged ({error}): remove the line to measure anew "
                "what stood there."
            ) from error
    return found


def _is_whole(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
