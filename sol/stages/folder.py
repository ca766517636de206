"""The folder of a run. Whether it can be written is known before anything is measured."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from sol.errors import OutputError

MIN_FREE_BYTES = 256 * 1024**2


def make_run_folder(root: Path, model: str, now: datetime | None = None) -> Path:
    """Creates `root`/<time>-<model>.

    Raises:
        OutputError: The folder cannot be made or written, or the disk is nearly full.
    """
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{Path(model).name}"
    try:
        folder = _make_new(root, name)
        probe = folder / ".writable"
        probe.write_bytes(b"x")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputError(
            f"Cannot write runs under {root}: {error.strerror}. "
            "Choose another folder with --output."
        ) from error
    if free < MIN_FREE_BYTES:
        folder.rmdir()
        raise OutputError(
            f"Only {free >> 20} MiB are free under {root}, {MIN_FREE_BYTES >> 20} MiB are needed: "
            "free some, or choose another folder with --output."
        )
    return folder


def discard_if_unused(folder: Path) -> None:
    """Removes a run's folder in which nothing was measured."""
    if not any((folder / "baseline").glob("*.npz")):
        shutil.rmtree(folder)


def _make_new(root: Path, name: str) -> Path:
    for suffix in ("", *(f"-{i}" for i in range(2, 100))):
        folder = root / f"{name}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not root.is_dir():
                raise
            continue
        return folder
    raise FileExistsError(17, "too many runs in one second", str(root))
