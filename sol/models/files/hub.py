"""Fetching a pipeline from the Hugging Face Hub, and what it means when that fails."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)

from sol.errors import ModelLoadError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# The Hub's client has changed its HTTP library (httpx, httpx2); its errors derive from that one's.
_HTTP_ERROR: type[BaseException] = next(
    base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError"
)


def fetch(hub_id: str, revision: str | None, allow_pickle: bool = False) -> tuple[Path, str]:
    """The folder of a pipeline in the local cache, and the commit that it is of.

    Args:
        revision: Branch, tag or commit; None for the main branch.
        allow_pickle: Takes pickled weights where there are no safetensors.

    Raises:
        ModelLoadError: It cannot be fetched: says what to do.
    """
    from diffusers import DiffusionPipeline

    try:
        folder = Path(
            DiffusionPipeline.download(
                hub_id, revision=revision, use_safetensors=None if allow_pickle else True
            )
        )
    except (
        OSError,
        ValueError,
        EntryNotFoundError,
        RevisionResolutionError,
        _HTTP_ERROR,
    ) as error:
        raise ModelLoadError(_explain(hub_id, revision, error)) from error
    # The cache names a snapshot after its commit, whatever the branch was called.
    return folder, folder.name


def _explain(hub_id: str, revision: str | None, error: BaseException) -> str:
    for cause in _causes(error):
        for kind, remedy in _REMEDIES:
            if isinstance(cause, kind):
                return f"Could not fetch {hub_id!r}: {remedy(hub_id, revision)}"
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
            return f"Could not fetch {hub_id!r}: {_full_disk()}"
    for phrase, meaning in _SAID_BY_DIFFUSERS:
        if phrase in str(error):
            return f"Could not fetch {hub_id!r}: {meaning}"
    return (
        f"Could not fetch {hub_id!r} from the Hugging Face Hub: {_first_clause(error)}. Check the "
        "id and the network, or download it elsewhere and pass its folder to --model."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it: diffusers wraps what the Hub's client raises."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _gated(hub_id: str, _: str | None) -> str:
    return (
        f"its makers want to be asked first. Accept the terms at https://huggingface.co/{hub_id}, "
        "then log in with `hf auth login`."
    )


def _missing(hub_id: str, _: str | None) -> str:
    return (
        f"the Hub shows no such repository. Check the spelling of {hub_id}; if it is private, log "
        "in with `hf auth login`."
    )


def _no_revision(_: str, revision: str | None) -> str:
    return f"it has no branch, tag or commit {revision!r}. Check --revision, or leave it out."


def _no_index(_: str, __: str | None) -> str:
    return (
        "the repository has no model_index.json, so it is not in the diffusers format. Look for "
        "a conversion, often named -Diffusers, or for a --revision that has it."
    )


def _offline(_: str, revision: str | None) -> str:
    of = "" if revision is None else f" of revision {revision!r}"
    return (
        f"the Hub cannot be reached, and the local cache has no whole copy{of}. Check the network "
        "(and that HF_HUB_OFFLINE is not set), or pass the folder of a copy to --model."
    )


def _refused(_: str, __: str | None) -> str:
    return "the Hub answered with an error. Try again later, or log in with `hf auth login`."


def _bad_id(_: str, __: str | None) -> str:
    return "it is no Hub id. One looks like org/name."


def _full_disk() -> str:
    cache = Path(constants.HF_HUB_CACHE)
    nearest = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(nearest).free / 1024**3
    return (
        f"the disk of the cache ({cache}) is full, {free:.1f} GiB are free. Free some, or set "
        "HF_HOME to a folder on a larger disk."
    )


def _first_clause(error: BaseException) -> str:
    """diffusers appends advice about its own arguments in brackets."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".").partition(" (")[0]


_SAID_BY_DIFFUSERS = (
    (
        "`safetensors` weights",
        "it has no safetensors weights, and loading a pickle runs whatever code is in it. If you "
        "trust its makers, pass --allow-pickle.",
    ),
    (
        "trust_remote_code",
        "it asks for code of its own, and Sol runs no code that comes with a model. Use one whose "
        "parts are all classes of diffusers or transformers.",
    ),
)
_Remedy = Callable[[str, str | None], str]
# The first that fits counts: gated repositories are a kind of missing ones, and so on.
_REMEDIES: tuple[tuple[type[BaseException], _Remedy], ...] = (
    (GatedRepoError, _gated),
    (RepositoryNotFoundError, _missing),
    (RevisionNotFoundError, _no_revision),
    (OfflineModeIsEnabled, _offline),
    (LocalEntryNotFoundError, _offline),
    (RevisionResolutionError, _offline),
    (EntryNotFoundError, _no_index),
    (HfHubHTTPError, _refused),
    (HFValidationError, _bad_id),
    (_HTTP_ERROR, _offline),
    (ConnectionError, _offline),
)
