"""What a killed process had marked does not outlive it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sol.search.executors.reaper import Reaper

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="it reads /proc")

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
DRIVER = """
import subprocess, sys, time
from sol.search.executors.reaper import Reaper
reaper = Reaper()
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
with reaper.marking():
    marked = subprocess.Popen(sleep, start_new_session=True)
other = subprocess.Popen(sleep, start_new_session=True)
print(marked.pid, other.pid, flush=True)
time.sleep(600)
"""


def is_running(number: int) -> bool:
    status = Path(f"/proc/{number}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def waits_for_end(number: int, limit_s: float = 20.0) -> bool:
    deadline = time.monotonic() + limit_s
    while is_running(number) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(number)


def test_what_a_killed_driver_had_marked_is_killed_and_nothing_else():
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    marked, other = map(int, driver.stdout.readline().split())
    driver.kill()
    driver.wait()
    driver.stdout.close()
    try:
        assert waits_for_end(marked)
        assert is_running(other)
    finally:
        subprocess.run(["kill", "-9", str(other)], check=False)


def test_closing_kills_what_is_left():
    reaper = Reaper()
    with reaper.marking():
        left = subprocess.Popen(SLEEP, start_new_session=True)
    reaper.close()
    assert left.wait(timeout=20) == -signal.SIGKILL


AGENT = """
import ray, time
ray._raylet.setproctitle("ray::DashboardAgent")
print(flush=True)
time.sleep(600)
"""
LOSES_AN_AGENT = f"""
import subprocess, sys, time
from sol.search.executors.reaper import Reaper
reaper = Reaper()
shell = subprocess.Popen(
    ["sh", "-c", '"$0" -c "$1" & echo $!; wait', sys.executable, {AGENT!r}],
    stdout=subprocess.PIPE, text=True,
)
agent = shell.stdout.readline()
shell.stdout.readline()
shell.kill()
print(agent, flush=True)
time.sleep(600)
"""


def test_an_agent_without_a_raylet_is_killed_though_it_has_no_mark():
    pytest.importorskip("ray")
    with subprocess.Popen(
        [sys.executable, "-c", LOSES_AN_AGENT],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as driver:
        assert driver.stdout is not None
        agent = int(driver.stdout.readline())
        assert is_running(agent)
        driver.kill()
    assert waits_for_end(agent)
