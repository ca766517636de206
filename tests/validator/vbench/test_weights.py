"""Weights come whole, checked and into every place where they are read."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sol.validator.vbench import fetch
from sol.validator.vbench.dimensions import DIMENSIONS
from sol.validator.vbench.download import download
from sol.validator.vbench.environment import VBenchEnv
from sol.validator.vbench.error import VBenchError
from sol.validator.vbench.fetch import prefetch
from sol.validator.vbench.lock import LOCK, available_dimensions, missing_weights, read_lock
from sol.validator.vbench.weights import LICENCES, WEIGHTS, WeightFile, weights_of

BYTES = b"weights of DINO" * 1000
DIGEST = hashlib.sha256(BYTES).hexdigest()
SUBJECT, FLICKERING = "subject_consistency", "temporal_flickering"


@pytest.fixture
def env(tmp_path):
    root = tmp_path / "env"
    root.mkdir()
    return VBenchEnv(root, root / "venv" / "bin" / "python")


def dino(url="https://example.org/dino.pth", sha256=None):
    places = ("cache/dino_model/dino.pth", "torch/hub/checkpoints/dino.pth")
    return WeightFile("dino.pth", places, url, (SUBJECT,), 1, sha256)


def folder_with(tmp_path, where, data=BYTES):
    folder = tmp_path / "brought"
    (folder / where).parent.mkdir(parents=True, exist_ok=True)
    (folder / where).write_bytes(data)
    return folder


def test_the_table_names_each_file_and_each_place_once():
    names = [file.name for file in WEIGHTS]
    places = [place for file in WEIGHTS for place in file.places]
    assert len(set(names)) == len(names)
    assert len(set(places)) == len(places)
    assert {dimension for file in WEIGHTS for dimension in file.dimensions} <= set(DIMENSIONS)
    assert all(file.url.startswith("https://") for file in WEIGHTS)
    assert all(len(file.sha256) == 64 for file in WEIGHTS if file.sha256)


def test_only_flickering_needs_no_weights():
    assert [name for name in DIMENSIONS if not weights_of((name,))] == [FLICKERING]


def test_dino_lies_where_vbench_looks_and_where_torch_hub_loads():
    (file,) = (file for file in WEIGHTS if file.name.startswith("dino_"))
    assert {place.split("/")[0] for place in file.places} == {"cache", "torch"}


def test_the_licences_that_forbid_commercial_use_are_named():
    assert any("AMT" in licence and "CC BY-NC 4.0" in licence for licence in LICENCES)
    assert any("pyiqa" in licence and "PolyForm" in licence for licence in LICENCES)


@pytest.mark.parametrize(
    "where",
    ["dino.pth", "dino_model/dino.pth", "hub/checkpoints/dino.pth", "cache/dino_model/dino.pth"],
)
def test_a_folder_may_be_flat_or_a_cache(env, tmp_path, where):
    prefetch(env, (SUBJECT,), folder_with(tmp_path, where), weights=(dino(),))
    for place in dino().places:
        assert (env.root / place).read_bytes() == BYTES
    assert read_lock(env.root)["dino.pth"].sha256 == DIGEST


def test_a_dimension_is_available_once_its_weights_are_in_all_places(env, tmp_path):
    weights = (dino(),)
    assert SUBJECT not in available_dimensions(env, weights)
    prefetch(env, (SUBJECT,), folder_with(tmp_path, "dino.pth"), weights=weights)
    assert SUBJECT in available_dimensions(env, weights)
    (env.root / dino().places[0]).unlink()
    assert SUBJECT not in available_dimensions(env, weights)


def test_without_weights_flickering_alone_is_available(env):
    assert available_dimensions(env) == (FLICKERING,)


def test_weights_put_there_by_hand_do_not_count(env):
    for place in dino().places:
        (env.root / place).parent.mkdir(parents=True)
        (env.root / place).write_bytes(BYTES)
    assert missing_weights(env, (SUBJECT,), (dino(),)) == (dino(),)


def test_a_cut_file_counts_as_missing(env, tmp_path):
    prefetch(env, (SUBJECT,), folder_with(tmp_path, "dino.pth"), weights=(dino(),))
    path = env.root / dino().places[1]
    path.unlink()
    path.write_bytes(BYTES[:-1])
    assert missing_weights(env, (SUBJECT,), (dino(),)) == (dino(),)


def test_every_file_that_a_folder_lacks_is_named_with_its_address(env, tmp_path):
    with pytest.raises(VBenchError) as caught:
        prefetch(env, (SUBJECT, "motion_smoothness"), tmp_path)
    for file in weights_of((SUBJECT, "motion_smoothness")):
        assert f"{file.name}  {file.url}" in str(caught.value)
    assert not read_lock(env.root)


def test_a_file_that_is_not_the_published_one_is_refused(env, tmp_path):
    folder = folder_with(tmp_path, "dino.pth")
    with pytest.raises(VBenchError, match=f"SHA-256 {'0' * 64}, got {DIGEST}"):
        prefetch(env, (SUBJECT,), folder, weights=(dino(sha256="0" * 64),))
    assert not any((env.root / place).exists() for place in dino().places)


def test_a_file_of_unknown_digest_stays_what_it_was_at_first(env, tmp_path):
    prefetch(env, (SUBJECT,), folder_with(tmp_path, "dino.pth"), weights=(dino(),))
    (env.root / dino().places[0]).unlink()
    other = folder_with(tmp_path, "dino.pth", b"of another DINO")
    with pytest.raises(VBenchError, match=f"must have SHA-256 {DIGEST}"):
        prefetch(env, (SUBJECT,), other, weights=(dino(),))


def test_what_is_there_is_not_brought_again(env, tmp_path):
    folder = folder_with(tmp_path, "dino.pth")
    prefetch(env, (SUBJECT,), folder, weights=(dino(),))
    shutil.rmtree(folder)
    prefetch(env, (SUBJECT,), folder, weights=(dino(),))
    assert SUBJECT in available_dimensions(env, (dino(),))


@pytest.mark.parametrize("text", ["{", json.dumps({"dino.pth": {"sha256": 1}})])
def test_a_lock_that_cannot_be_read_is_an_error(env, text):
    (env.root / LOCK).write_text(text)
    with pytest.raises(VBenchError, match=r"weights\.lock\.json .*sol vbench prefetch"):
        available_dimensions(env, (dino(),))


def test_a_full_disk_is_said(env, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch.shutil, "copyfile", full)
    with pytest.raises(VBenchError, match=r"dino.pth needs about 1 MB .* are free: make room"):
        prefetch(env, (SUBJECT,), folder_with(tmp_path, "dino.pth"), weights=(dino(),))


@contextmanager
def server(answer):
    """A web server on this machine; `answer(handler)` writes the response."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Range"))
            answer(self)

        def log_message(self, *arguments):
            pass

    asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/dino.pth", asked
        finally:
            running.shutdown()
            thread.join()


def send(handler, status, data, announced=None):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data) if announced is None else announced))
    handler.end_headers()
    handler.wfile.write(data)


def whole(handler):
    send(handler, 200, BYTES)


def with_ranges(handler):
    start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
    if start >= len(BYTES):
        send(handler, 416, b"")
    else:
        send(handler, 206 if start else 200, BYTES[start:])


def cut(handler):
    send(handler, 200, BYTES[:99], announced=len(BYTES))


def absent(handler):
    send(handler, 404, b"")


def test_a_download_is_checked_and_kept(env):
    with server(whole) as (url, _):
        prefetch(env, (SUBJECT,), weights=(dino(url, DIGEST),))
    assert (env.root / dino().places[1]).read_bytes() == BYTES


@pytest.mark.parametrize("there", [99, len(BYTES)], ids=("some", "more than there is"))
@pytest.mark.parametrize("answer", [with_ranges, whole], ids=("ranges", "no ranges"))
def test_a_download_goes_on_where_it_stopped(tmp_path, answer, there):
    path = tmp_path / "dino.pth"
    path.with_name("dino.pth.partial").write_bytes(BYTES[:there])
    with server(answer) as (url, asked):
        download(url, path)
    assert path.read_bytes() == BYTES
    assert asked[0] == f"bytes={there}-"
    assert [file.name for file in tmp_path.iterdir()] == ["dino.pth"]


def test_a_download_that_is_cut_leaves_what_came_for_the_next_attempt(env):
    with server(cut) as (url, _), pytest.raises(VBenchError, match=r"99 of 15000 bytes.*goes on"):
        prefetch(env, (SUBJECT,), weights=(dino(url),))
    with server(with_ranges) as (url, asked):
        prefetch(env, (SUBJECT,), weights=(dino(url, DIGEST),))
    assert asked == ["bytes=99-"]


def test_an_address_that_refuses_names_the_way_without_it(env):
    with server(absent) as (url, _), pytest.raises(VBenchError, match=r"404.*--weights-from"):
        prefetch(env, (SUBJECT,), weights=(dino(url),))


def test_a_server_that_is_not_there_is_said(env):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/dino.pth"
        with pytest.raises(VBenchError, match=r"cannot be reached.*--weights-from DIR"):
            prefetch(env, (SUBJECT,), weights=(dino(url),))


def test_the_source_folder_is_left_as_it_was(env, tmp_path):
    folder = folder_with(tmp_path, "dino.pth")
    prefetch(env, (SUBJECT,), folder, weights=(dino(),))
    assert [Path(p).name for p in folder.iterdir()] == ["dino.pth"]
    assert (folder / "dino.pth").stat().st_nlink == 1
