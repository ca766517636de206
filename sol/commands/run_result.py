"""`result.json`: what a run ended with; while it is missing, the run can be resumed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.errors import SolError
from sol.search.whole_file import write_whole

FILE = "result.json"


@dataclass(frozen=True)
class RunResult:
    """What a finished run printed.

    Attributes:
        data: As `sol tune --json` had it.
    """

    folder: Path
    data: dict[str, Any]

    @property
    def is_accepted(self) -> bool:
        """Whether it left a recipe."""
        return self.data["recipe"] is not None

    @property
    def lines(self) -> tuple[str, ...]:
        """For people."""
        speed = self.data["speedup"]
        found = "Nothing was accepted."
        if self.is_accepted and speed:
            found = (
                f"Accepted: {speed['median']:.2f}x [{speed['low']:.2f}, {speed['high']:.2f}] end "
                f"to end, n={self.data['n']} pairs"
            )
        recipe = (f"Recipe: {self.data['recipe']}",) if self.is_accepted else ()
        return (
            f"{self.folder} is finished: there is nothing to resume.",
            found,
            *recipe,
            f"Report: {self.data['report']}",
        )


def write_result(folder: Path, data: dict[str, Any]) -> None:
    """Marks the run as finished.

    Raises:
        OutputError: The file cannot be written.
    """
    write_whole(folder / FILE, json.dumps(data, indent=1))


def find_result(folder: Path) -> RunResult | None:
    """Of a finished run, its files where the folder is now; None while it is not finished.

    Raises:
        SolError: The file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = {name: data[name] for name in ("recipe", "report")}
    except (ValueError, KeyError) as error:
        raise SolError(f"{path} is damaged: remove it and resume the run once more.") from error
    here = {name: str(folder / Path(file).name) if file else None for name, file in files.items()}
    return RunResult(folder, {**data, **here, "run": str(folder)})
