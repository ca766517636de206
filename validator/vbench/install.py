"""Making VBench's environment: complete, or marked as not complete and made anew next time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sol.validator.vbench.environment import (
    PINS,
    TORCH_PINS,
    VBenchEnv,
    find_vbench,
    python_folder,
    python_of,
    remove_mark,
    why_incomplete,
    write_mark,
)
from sol.validator.vbench.error import VBenchError
from sol.validator.vbench.scoring import WORKER

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
NEEDED_GB = 4.0
"""2 GB of packages without CUDA, and as much again while they are unpacked."""
_GB = 1e9
_LAST_LINES = 8
_NO_NETWORK = (
    "name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Failed to establish a new connection",
    "Connection refused",
    "dns error",
    "error sending request",
    "Failed to fetch",
)


@dataclass(frozen=True)
class SetUp:
    """How to make it.

    Attributes:
        python: The interpreter to make it from.
        uv: uv's executable, for the packages other than PyTorch; without it pip installs them.
        torch_index: Where to take PyTorch from, if not from where pip is configured to look.
    """

    python: Path = Path(sys.executable)
    uv: Path | None = None
    torch_index: str | None = None


def set_up(root: Path, how: SetUp, report: Callable[[str], None] = lambda line: None) -> VBenchEnv:
    """Makes the environment in `root` unless it is complete; its weights stay.

    PyTorch always comes by pip, which knows a machine's builds from its own configuration; uv
    does not read that, and would fetch gigabytes of CUDA for a machine without a GPU. uv, where it
    is, installs everything else.

    Raises:
        VBenchError: It could not be made, with the reason.
    """
    existing = find_vbench(root)
    if existing:
        report(f"VBench is complete in {root}.")
        return existing
    check_python(how.python)
    _check_room(root)
    if python_folder(root).exists():
        report(f"{root} cannot be used: {why_incomplete(root)}. It is made anew.")
        remove_mark(root)
        shutil.rmtree(python_folder(root))
    for line, command in _steps(root, how):
        report(line)
        _run(command, root)
    report("Trying it")
    write_mark(root, _try_out(root))
    return VBenchEnv(root, python_of(root))


def check_python(python: Path) -> None:
    """Raises VBenchError unless `python` is a version that the pinned packages are built for."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, check=True
        )
        version = tuple(int(part) for part in done.stdout.split())
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise VBenchError(f"{python} is no Python: {error}. Pass another --python.") from error
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        oldest, newest, got = (
            ".".join(map(str, v)) for v in (OLDEST_PYTHON, NEWEST_PYTHON, version)
        )
        raise VBenchError(
            f"VBench's packages need Python {oldest} to {newest}, {python} is {got}: pass another "
            "--python."
        )


def _check_room(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(root).free / _GB
    except OSError as error:
        raise VBenchError(f"{root} cannot be made: {error}. Pass another --env.") from error
    if free < NEEDED_GB:
        raise VBenchError(
            f"VBench's packages need {NEEDED_GB:g} GB, {free:.1f} GB are free in {root}: make "
            "room, or pass another --env."
        )


def _steps(root: Path, how: SetUp) -> tuple[tuple[str, Sequence[str]], ...]:
    python, folder = str(python_of(root)), str(python_folder(root))
    pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input")
    index = ("--index-url", how.torch_index) if how.torch_index else ()
    uv = (str(how.uv), "pip", "install", "--python", python)
    others = (*(uv if how.uv else pip), "--no-deps", "-r", str(PINS))
    return (
        (f"Making {folder}", (str(how.python), "-m", "venv", folder)),
        ("Installing PyTorch with pip", (*pip, *index, "-r", str(TORCH_PINS), "-c", str(PINS))),
        (f"Installing VBench with {'uv' if how.uv else 'pip'}", others),
    )


def _run(command: Sequence[str], root: Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise VBenchError(f"{command[0]} cannot run: {error}.") from error
    if done.returncode:
        raise VBenchError(_explain(command, done.stdout + done.stderr, root))


def _explain(command: Sequence[str], output: str, root: Path) -> str:
    if "No space left on device" in output:
        return f"No space was left on the device of {root}: make room, or pass another --env."
    if any(sign in output for sign in _NO_NETWORK):
        return (
            "The package index cannot be reached: check the network, or point pip (and uv) at a "
            "mirror in their own configuration, and run `sol vbench setup` again."
        )
    lines = [line for line in output.splitlines() if line.strip()][-_LAST_LINES:]
    return f"`{' '.join(command)}` failed:\n" + "\n".join(lines)


def _try_out(root: Path) -> dict[str, str]:
    """Has the worker import VBench and score nothing; returns the versions it found."""
    with tempfile.TemporaryDirectory(prefix="sol-vbench-") as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        places = {"cache_dir": str(root / "cache"), "torch_home": str(root / "torch")}
        nothing = {"videos": [], "dimensions": [], "device": "cpu", "weights": {}, **places}
        request.write_text(json.dumps(nothing), encoding="utf-8")
        _run((str(python_of(root)), "-I", str(WORKER), str(request), str(answer)), root)
        versions: dict[str, str] = json.loads(answer.read_text(encoding="utf-8"))["versions"]
    return versions
