"""Fetching from the Hub: what is asked for, and every way in which it fails."""

from __future__ import annotations

import errno
from importlib import import_module
from pathlib import Path

import diffusers
import pytest
from huggingface_hub import errors

from sol.errors import ModelLoadError
from sol.models.files.hub import fetch
from sol.models.loading import load_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_ID = "org/name"


def http_library():
    """The one that the Hub's client is built on: its name depends on the version."""
    base = errors.HfHubHTTPError.__mro__[1]
    return import_module(base.__module__.partition(".")[0])


def of_hub(kind, status=404):
    library = http_library()
    request = library.Request("GET", "https://huggingface.co/api/models/org/name")
    return kind("refused", response=library.Response(status, request=request))


def wrapped(cause):
    """As diffusers raises what went wrong before it looked into the cache."""
    error = OSError("Cannot load model org/name: the model is not fully cached locally")
    error.__cause__ = cause
    return error


def no_connection():
    return http_library().ConnectError("[Errno -2] Name or service not known")


FAILURES = {
    "gated": (of_hub(errors.GatedRepoError, 403), "Accept the terms at https://hugg.*org/name"),
    "missing repository": (of_hub(errors.RepositoryNotFoundError), "Check the spelling of org/n"),
    "missing revision": (of_hub(errors.RevisionNotFoundError), "branch, tag or commit 'v1'"),
    "no index": (of_hub(errors.RemoteEntryNotFoundError), "not in the diffusers format"),
    "not in the cache": (errors.LocalEntryNotFoundError("absent"), "cannot be reached"),
    "offline": (errors.OfflineModeIsEnabled("HF_HUB_OFFLINE"), "that HF_HUB_OFFLINE is not set"),
    "unresolved": (errors.RevisionResolutionError("no answer"), "cannot be reached"),
    "no connection": (no_connection(), "cannot be reached"),
    "refused connection": (ConnectionRefusedError(111, "refused"), "cannot be reached"),
    "server error": (of_hub(errors.HfHubHTTPError, 503), "Try again later"),
    "bad id": (errors.HFValidationError("bad"), "it is no Hub id"),
    "full disk": (OSError(errno.ENOSPC, "No space left on device"), "HF_HOME to a folder"),
    "pickles": (
        OSError("Could not find the necessary `safetensors` weights in {'a.bin'}"),
        "pass --allow-pickle",
    ),
    "code of its own": (
        ValueError("Pass `trust_remote_code=True` to allow loading remote code modules."),
        "Sol runs no code that comes with a model",
    ),
    "something else": (OSError("Strange (try `x=1`)."), "Hub: Strange. Check the id"),
}


def test_the_commit_is_recorded_whatever_the_branch_is_called(monkeypatch, tmp_path):
    asked = []

    def download(hub_id, **kwargs):
        asked.append((hub_id, kwargs))
        return tmp_path / "snapshots" / COMMIT

    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", download)
    assert fetch(HUB_ID, "v1") == (tmp_path / "snapshots" / COMMIT, COMMIT)
    fetch(HUB_ID, None, allow_pickle=True)
    assert asked == [
        (HUB_ID, {"revision": "v1", "use_safetensors": True}),
        (HUB_ID, {"revision": None, "use_safetensors": None}),
    ]


CASES = [pytest.param(*case, id=name) for name, case in FAILURES.items()]
WRAPPED = [
    pytest.param(wrapped(error), remedy, id=f"{name}, wrapped")
    for name, (error, remedy) in FAILURES.items()
    # These two are what diffusers itself says.
    if name not in ("pickles", "code of its own", "something else")
]


@pytest.mark.parametrize(("error", "remedy"), CASES + WRAPPED)
def test_each_failure_says_what_to_do(error, remedy, monkeypatch):
    def download(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", download)
    with pytest.raises(ModelLoadError, match=remedy) as raised:
        fetch(HUB_ID, "v1")
    assert "Could not fetch 'org/name'" in str(raised.value)
    assert raised.value.__cause__ is not None


def test_an_error_of_sol_itself_is_not_dressed_up(monkeypatch):
    def download(*_args, **_kwargs):
        raise TypeError("a bug")

    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", download)
    with pytest.raises(TypeError):
        fetch(HUB_ID, None)


@pytest.mark.parametrize(
    ("name", "revision", "expected"),
    [
        ("org/name", None, None),
        ("org/name", "v1", "v1"),
        ("org/name@v1", None, "v1"),
        ("org/name@v1", "v1", "v1"),
        ("cosmos-2.5", None, "diffusers/base/post-trained"),
        ("cosmos-2.5@abc", None, "abc"),
        ("ltx", None, None),
    ],
)
def test_the_revision_reaches_the_hub(name, revision, expected, monkeypatch):
    class Reached(Exception):
        pass

    def refuse(_source, revision, _allow_pickle):
        raise Reached(revision)

    monkeypatch.setattr("sol.models.files.model_source.fetch", refuse)
    with pytest.raises(Reached) as raised:
        load_model(name, device="cpu", revision=revision)
    assert raised.value.args == (expected,)


def test_two_revisions_contradict_each_other():
    with pytest.raises(ModelLoadError, match="names revision v1, and --revision is v2"):
        load_model("org/name@v1", device="cpu", revision="v2")


def test_a_folder_has_no_revision(tmp_path):
    with pytest.raises(ModelLoadError, match=r"got 'v1', and .* is a folder. Leave it out"):
        load_model(str(tmp_path), device="cpu", revision="v1")


def test_a_folder_with_an_at_sign_is_a_folder(tmp_path):
    folder = tmp_path / "a@b"
    folder.mkdir()
    with pytest.raises(ModelLoadError, match=str(Path("a@b"))):
        load_model(str(folder), device="cpu")
