"""`run.json`: what a run was asked to do, so that it can be resumed from its folder alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from sol.commands.tune_options import TuneOptions
from sol.errors import SolError
from sol.search.whole_file import write_whole
from sol.target import STRICT
from sol.validation import explain, validate_plain

SCHEMA: Final = "sol.run/1"
FILE = "run.json"


@dataclass(frozen=True)
class RunFile:
    """A run, as it began.

    Attributes:
        id: Unlike that of any other run, also on another machine.
        gate_digest: Of the gate profile, whose file may have changed since.
    """

    __pydantic_config__ = STRICT

    id: str
    gate_digest: str
    options: TuneOptions
    schema: Literal["sol.run/1"] = SCHEMA


def name_run(folder: Path) -> str:
    """An id for a run that begins in `folder`."""
    return f"{folder.name}-{uuid4().hex[:8]}"


def write_run(folder: Path, run: RunFile) -> None:
    """Writes it into the run's folder; complete or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    plain = _ADAPTER.dump_python(run, mode="json")
    write_whole(folder / FILE, json.dumps(plain, indent=1, ensure_ascii=False))


def load_run(folder: Path) -> RunFile:
    """The run in `folder`.

    Raises:
        SolError: There is none, or it cannot be read; each with the remedy.
    """
    path = folder / FILE
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise SolError(
            f"{folder} is no folder of a run: {path} is missing. Pass the folder that `sol tune` "
            "named, such as runs/20260102-030405-pocket."
        ) from None
    except ValueError as error:
        raise SolError(f"{path} is damaged ({error}): start a new run.") from error
    return _parse(path, data)


def _parse(path: Path, data: Any) -> RunFile:
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise SolError(
            f"{path} is of schema {schema!r}, not {SCHEMA}: resume it with the version of Sol "
            "that began it, or start a new run."
        )
    try:
        return validate_plain(_ADAPTER, data)
    except ValidationError as error:
        raise SolError(f"{path} cannot be read: {explain(error)} Start a new run.") from error


_ADAPTER = TypeAdapter(RunFile)
