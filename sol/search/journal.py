"""The journal: every turn of every agent as one line of JSON that a person can read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sol.search.json_lines import cut_torn_line, read_json_lines


class Journal:
    """Appends lines to `journal.jsonl`; each is on disk before the call returns.

    In a file that has lines, time goes on where they end.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        cut_torn_line(path)
        self._before = _last_time(path)
        self._file = path.open("a", encoding="utf-8")
        self._clock = clock
        self._start = clock()
        self._listeners: list[Callable[[Mapping[str, Any]], None]] = []

    def write(self, agent: str, turn: str, **facts: Any) -> None:
        """One line.

        Args:
            agent: Who speaks: a skill, or "orchestrator", "integrator", "gate".
            turn: observe, hypothesise, measure, reflect, post, and the like.
        """
        seconds = round(self._before + self._clock() - self._start, 2)
        line = {"t": seconds, "agent": agent, "turn": turn, **facts}
        self._file.write(json.dumps(line, default=_plain, ensure_ascii=False) + "\n")
        self._file.flush()
        for listener in self._listeners:
            listener(line)

    def listen(self, listener: Callable[[Mapping[str, Any]], None]) -> None:
        """Calls `listener` with every line from now on."""
        self._listeners.append(listener)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


def _last_time(path: Path) -> float:
    lines = read_json_lines(path) if path.exists() else []
    return float(lines[-1]["t"]) if lines else 0.0


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
