"""The search time that a run has used, over all its interruptions."""

from __future__ import annotations

import json
from pathlib import Path

from sol.errors import SolError
from sol.search.whole_file import write_whole

FILE = "spent.json"


class SpentTime:
    """Seconds, in `spent.json` of a run's folder; what was added is there after a kill.

    Raises:
        SolError: The file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._seconds = _read(self._path) if self._path.exists() else 0.0

    @property
    def seconds(self) -> float:
        """Of the search so far."""
        return self._seconds

    def add(self, seconds: float) -> None:
        """Counts seconds that went by since the last call.

        Raises:
            OutputError: The file cannot be written.
        """
        self._seconds += seconds
        write_whole(self._path, json.dumps({"search_s": round(self._seconds, 3)}))


def _read(path: Path) -> float:
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["search_s"])
    except (ValueError, TypeError, KeyError) as error:
        raise SolError(
            f"{path} is damaged: remove it, and the search has its whole time again."
        ) from error
