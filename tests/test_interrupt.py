"""Ctrl-C and a scheduler's SIGTERM: the run ends in seconds and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

MARK = "SOL_TEST_MARK"
ENDS_WITHIN_S = 30.0
# A shell's background jobs ignore Ctrl-C, and so would their children: these tests may run in one.
MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from sol.cli import main
main()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc"),
]


def processes_with(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z":
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def wait_for_baseline(folder: Path, limit_s: float = 60.0) -> None:
    """Until one of its videos is kept."""
    deadline = time.monotonic() + limit_s
    while not any(folder.glob("runs/*/baseline/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.1)


def wait_for_turn(folder: Path, turn: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        for journal in folder.glob("runs/*/journal.jsonl"):
            lines = [json.loads(line) for line in journal.read_text().splitlines()]
            if any(line["turn"] == turn for line in lines):
                return
        time.sleep(0.2)
    raise AssertionError(f"never saw {turn}")


@pytest.mark.parametrize("executor", ["inline", "ray"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_and_keeps_what_was_measured(tmp_path, executor, sent):
    if executor == "ray":
        pytest.importorskip("ray")
    mark = uuid.uuid4().hex
    command = ["tune", "--model", "pocket", "--budget", "quick", "--executor", executor]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *command],
        cwd=tmp_path,
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_for_turn(tmp_path, "baseline", process)
            wait_for_baseline(tmp_path)
            process.send_signal(sent)
            _, errors = process.communicate(timeout=ENDS_WITHIN_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "What was measured stays in" in errors
    assert "Traceback" not in errors
    assert any(tmp_path.glob("runs/*/baseline/*.npz"))
    deadline = time.monotonic() + ENDS_WITHIN_S
    while processes_with(mark) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert processes_with(mark) == []
