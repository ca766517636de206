"""The lease: a timing has its device alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sol.errors import SolError
from sol.search.crew import Crew, Job
from sol.search.executors.base import Done
from sol.search.lease import Holder, may_start
from sol.search.records import WorkerInfo
from sol.target import Hardware, Model, Workload


def info(device_key: str) -> WorkerInfo:
    return WorkerInfo(
        Model("m", "ltx", "local", "d"),
        Hardware("cpu", "x", 1, 1.0),
        Workload(8, 8, 5, 4, 1.0, 8, 8),
        "pocket",
        device_key,
        0.0,
        {},
    )


@dataclass
class Recorder:
    """An executor that ends the oldest job at each wait and records what ran together."""

    running: dict[int, str] = field(default_factory=dict)
    together: list[tuple[str, ...]] = field(default_factory=list)
    n: int = 0

    def submit(self, worker, method, *args, limit_s):
        self.n += 1
        self.running[self.n] = f"{method}@{worker}"
        self.together.append(tuple(sorted(self.running.values())))
        return self.n

    def wait(self, timeout_s):
        if not self.running:
            return []
        ticket = min(self.running)
        value = self.running.pop(ticket)
        return [Done(ticket, int(value[-1]), value=value)]


@pytest.mark.parametrize(
    ("running", "is_timing", "allowed"),
    [
        ([], True, True),
        ([], False, True),
        ([Holder("a", False)], False, True),
        ([Holder("a", False)], True, False),
        ([Holder("a", True)], False, False),
        ([Holder("a", True)], True, False),
        ([Holder("b", True)], True, True),
    ],
)
def test_the_lease(running, is_timing, allowed):
    assert may_start("a", is_timing, running) is allowed


def test_quality_shares_a_device_and_timing_does_not():
    recorder = Recorder()
    crew = Crew(recorder, (info("a"), info("a")))
    jobs = [
        Job("quality", (), 1.0),
        Job("quality", (), 1.0),
        Job("timing", (), 1.0, is_timing=True),
        Job("quality", (), 1.0),
        Job("timing", (), 1.0, is_timing=True),
    ]
    crew.run_all(jobs)
    assert ("quality@0", "quality@1") in recorder.together
    for running in recorder.together:
        if any("timing" in name for name in running):
            assert len(running) == 1


def test_two_devices_time_at_once():
    recorder = Recorder()
    crew = Crew(recorder, (info("a"), info("b")))
    crew.run_all([Job("timing", (), 1.0, is_timing=True)] * 2)
    assert ("timing@0", "timing@1") in recorder.together


def test_results_come_in_the_order_of_the_jobs():
    crew = Crew(Recorder(), (info("a"), info("a")))
    results = crew.run_all([Job("first", (), 1.0), Job("second", (), 1.0), Job("third", (), 1.0)])
    assert [done.value.split("@")[0] for done in results] == ["first", "second", "third"]


def test_a_job_bound_to_a_busy_worker_waits():
    crew = Crew(Recorder(), (info("a"), info("a")))
    crew.start(Job("quality", (), 1.0, worker=0))
    assert crew.may_start(Job("quality", (), 1.0))
    assert not crew.may_start(Job("quality", (), 1.0, worker=0))
    with pytest.raises(SolError, match="No worker may start"):
        crew.start(Job("quality", (), 1.0, worker=0))
