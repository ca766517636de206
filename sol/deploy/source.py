"""Where a pipeline's weights were loaded from, as far as the pipeline itself can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

_SNAPSHOTS = "snapshots"
"""The folder of a Hub cache in which each commit of a repository has its own."""


def find_folder(pipeline: Any) -> Path | None:
    """The one pipeline folder that all modules came from, or None if there is none.

    A pipeline that was loaded by its Hub id keeps the id, but its modules keep their folders. One
    whose modules come from several places was put together by hand. What was written into the
    weights after loading cannot be seen here.
    """
    modules = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    folders = {folder for module in modules if (folder := _find_parent(module)) is not None}
    if len(folders) != 1:
        return None
    folder = folders.pop()
    return folder if (folder / "model_index.json").is_file() else None


def find_revision(folder: Path) -> str | None:
    """The commit of a Hub snapshot's folder; None where another folder cannot tell."""
    return folder.name if folder.parent.name == _SNAPSHOTS else None


def _find_parent(module: nn.Module) -> Path | None:
    """The folder above the one that this module was loaded from."""
    config: Any = getattr(module, "config", None)
    name = str(getattr(config, "_name_or_path", None) or "")
    return Path(name).resolve().parent if name else None
