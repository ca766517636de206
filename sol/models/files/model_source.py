"""From the name of a model to the folder that it is read from."""

from __future__ import annotations

import re
from pathlib import Path

from sol.errors import ModelLoadError, UnknownNameError
from sol.models.catalog import CATALOG, NOT_LOADABLE, find_entry, split_revision
from sol.models.files.hub import fetch

LOCAL = "local"
"""The revision of a folder."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def check_model_name(name: str) -> None:
    """Refuses what cannot be loaded, before anything is started.

    Raises:
        UnknownNameError: Neither a known short name, a folder, nor a Hub id.
        ModelLoadError: A model that is known not to load.
    """
    reason = NOT_LOADABLE.get(split_revision(name)[0])
    if reason is not None:
        raise ModelLoadError(f"{name} cannot be loaded: {reason}.")
    source = _source_of(name)
    if not Path(source).is_dir() and not _HUB_ID.fullmatch(source):
        remedy = "Or give a folder made by save_pretrained, or a Hub id such as org/name."
        raise UnknownNameError("model", name, CATALOG, remedy)


def resolve_folder(name: str, revision: str | None, allow_pickle: bool) -> tuple[Path, str]:
    """The folder of a model and the commit that it is of, or "local"; fetches what is missing.

    Raises:
        ModelLoadError: It cannot be fetched, or what was asked for contradicts itself.
    """
    source, entry = _source_of(name), find_entry(name)
    asked = _agree(name, revision)
    if Path(source).is_dir():
        if asked is not None:
            raise ModelLoadError(
                f"--revision names a commit of a Hub repository, got {asked!r}, and {source} is "
                "a folder. Leave it out."
            )
        return Path(source), LOCAL
    return fetch(source, asked or (entry.revision if entry else None), allow_pickle)


def _agree(name: str, revision: str | None) -> str | None:
    """The revision that was asked for: beside the name, or in it."""
    pinned = split_revision(name)[1]
    if revision is not None and pinned is not None and revision != pinned:
        raise ModelLoadError(
            f"{name} names revision {pinned}, and --revision is {revision}. Give one of them."
        )
    return revision or pinned


def _source_of(name: str) -> str:
    entry = find_entry(name)
    return entry.source if entry else split_revision(name)[0]
