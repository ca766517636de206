"""Downloading a file: whole in the end, and going on where an earlier attempt stopped."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from sol.validator.vbench.error import VBenchError

_SILENCE_S = 60.0
"""After so long without a byte, a server is taken to be gone."""


def download(url: str, path: Path) -> None:
    """Fetches `url` into `path`, which appears when it is whole.

    What came of an earlier attempt lies beside it with the ending `.partial` and is not fetched
    again, if the server can start in the middle.

    Raises:
        VBenchError: The address cannot be reached, refuses, or ends too early.
        OSError: The file cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with _open(url, partial) as response:
            _receive(response, partial)
    except urllib.error.HTTPError as error:
        raise VBenchError(
            f"{url} answered {error.code} {error.reason}: get the file elsewhere, and pass its "
            "folder with --weights-from."
        ) from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise VBenchError(
            f"{url} cannot be reached: {reason}. Check the network and run the command again: it "
            "goes on where it stopped. Without a network, pass --weights-from DIR."
        ) from error
    partial.replace(path)


def _open(url: str, partial: Path) -> HTTPResponse:
    """Asks for what is missing; starts over where the server knows no such part."""
    there = partial.stat().st_size if partial.exists() else 0
    try:
        return _request(url, {"Range": f"bytes={there}-"} if there else {})
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        partial.unlink()
        return _request(url, {})


def _request(url: str, headers: dict[str, str]) -> HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "sol-tuner", **headers})
    response: HTTPResponse = urllib.request.urlopen(request, timeout=_SILENCE_S)
    return response


def _receive(response: HTTPResponse, partial: Path) -> None:
    goes_on = response.status == HTTPStatus.PARTIAL_CONTENT
    with partial.open("ab" if goes_on else "wb") as file:
        before = file.tell()
        shutil.copyfileobj(response, file)
        received = file.tell() - before
    announced = response.headers.get("Content-Length")
    if announced is not None and received != int(announced):
        raise ConnectionError(f"it ended after {received} of {announced} bytes")
