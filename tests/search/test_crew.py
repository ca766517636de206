"""The lease: a timing has its device alone. And what a lost worker costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

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
    """An executor that ends the oldest job at each wait and records what ran together.

    Attributes:
        failures: Of the next jobs to end.
    """

    infos: dict[int, WorkerInfo]
    failures: list[str] = field(default_factory=list)
    running: dict[int, str] = field(default_factory=dict)
    together: list[tuple[str, ...]] = field(default_factory=list)
    n: int = 0

    def in_service(self):
        return self.infos

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
        if self.failures:
            return [Done(ticket, int(value[-1]), failure=self.failures.pop(0), reason="died")]
        return [Done(ticket, int(value[-1]), value=value)]


def crew_of(*device_keys: str, **options) -> tuple[Crew, Recorder]:
    infos = tuple(info(key) for key in device_keys)
    recorder = Recorder(dict(enumerate(infos)))
    return Crew(recorder, infos, **options), recorder


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
    crew, recorder = crew_of("a", "a")
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
    crew, recorder = crew_of("a", "b")
    crew.run_all([Job("timing", (), 1.0, is_timing=True)] * 2)
    assert ("timing@0", "timing@1") in recorder.together


def test_results_come_in_the_order_of_the_jobs():
    crew, _ = crew_of("a", "a")
    results = crew.run_all([Job("first", (), 1.0), Job("second", (), 1.0), Job("third", (), 1.0)])
    assert [done.value.split("@")[0] for done in results] == ["first", "second", "third"]


def test_a_job_bound_to_a_busy_worker_waits():
    crew, _ = crew_of("a", "a")
    crew.start(Job("quality", (), 1.0, worker=0))
    assert crew.may_start(Job("quality", (), 1.0))
    assert not crew.may_start(Job("quality", (), 1.0, worker=0))
    with pytest.raises(SolError, match="No worker may start"):
        crew.start(Job("quality", (), 1.0, worker=0))


def test_workers_of_several_hosts_share_a_lease_only_with_their_own():
    crew, recorder = crew_of("a", "a", "b", "b")
    crew.run_all([Job("timing", (), 1.0, is_timing=True)] * 4 + [Job("quality", (), 1.0)] * 4)
    host_of = "aabb"
    for running in recorder.together:
        for host in "ab":
            here = [name for name in running if host_of[int(name[-1])] == host]
            assert len(here) == 1 or not any("timing" in name for name in here)
    assert ("timing@0", "timing@2") in recorder.together


def test_a_job_whose_worker_was_lost_is_started_once_more():
    heard = []
    crew, recorder = crew_of(
        "a", on_lost=lambda job, done: heard.append((job.method, done.reason))
    )
    recorder.failures = ["lost"]
    assert crew.run(Job("quality", (), 1.0)) == "quality@0"
    assert heard == [("quality", "died")]


@pytest.mark.parametrize(
    ("failures", "failure", "reason"),
    [
        (["lost", "lost"], "lost", "twice: died"),
        (["timeout"], "timeout", "died"),
        (["failed"], "failed", "died"),
        (["lost", "failed"], "failed", "died"),
    ],
)
def test_what_is_not_started_again_ends_with_its_failure(failures, failure, reason):
    crew, recorder = crew_of("a")
    recorder.failures = failures
    done = crew.run_all([Job("quality", (), 1.0)])[0]
    assert (done.failure, done.reason) == (failure, reason)
    assert not crew.is_busy


def test_a_lost_job_keeps_its_ticket():
    crew, recorder = crew_of("a")
    recorder.failures = ["lost"]
    ticket = crew.start(Job("quality", (), 1.0))
    assert crew.wait() == []
    assert crew.is_busy
    assert [done.ticket for done in crew.wait()] == [ticket]


def test_a_worker_out_of_service_gets_no_job():
    crew, recorder = crew_of("a", "b")
    del recorder.infos[0]
    assert crew.run(Job("quality", (), 1.0)) == "quality@1"


def test_a_job_bound_to_a_worker_out_of_service_goes_to_another():
    crew, recorder = crew_of("a", "b")
    del recorder.infos[0]
    assert crew.run(Job("timing", (), 1.0, is_timing=True, worker=0)) == "timing@1"


def test_the_lease_follows_a_worker_to_another_device():
    crew, recorder = crew_of("a", "b")
    recorder.infos[1] = info("a")
    crew.run_all([Job("timing", (), 1.0, is_timing=True)] * 2)
    assert all(len(running) == 1 for running in recorder.together)


def test_a_run_without_any_worker_waits_and_then_ends_with_the_remedy():
    now = [0.0]
    crew, recorder = crew_of("a", patience_s=100.0, clock=lambda: now[0])
    recorder.infos.clear()
    assert crew.is_busy
    now[0] = 99.0
    assert crew.wait() == []
    now[0] = 100.0
    with pytest.raises(SolError, match=r"100 s.*add a node and resume"):
        crew.wait()


def test_patience_begins_when_the_last_worker_goes():
    now = [0.0]
    crew, recorder = crew_of("a", patience_s=100.0, clock=lambda: now[0])
    now[0] = 1000.0
    crew.run(Job("quality", (), 1.0))
    recorder.infos.clear()
    now[0] = 1099.0
    assert crew.wait() == []


OTHER_HARDWARE = replace(info("b"), hardware=Hardware("cpu", "y", 1, 1.0))
OTHER_VERSION = replace(info("b"), versions={"torch": "2.0"})


@pytest.mark.parametrize(
    ("other", "difference"),
    [(OTHER_HARDWARE, "the hardware differs"), (OTHER_VERSION, "torch differs: none against 2.0")],
)
def test_workers_that_are_not_alike_are_refused(other, difference):
    with pytest.raises(SolError, match=f"{difference}.*worker 1 on b.*do not compare"):
        Crew(Recorder({}), (info("a"), other))


def test_a_worker_that_comes_back_on_other_hardware_gets_no_job():
    crew, recorder = crew_of("a", "b", patience_s=0.0)
    recorder.infos[0] = replace(OTHER_HARDWARE, device_key="c")
    assert crew.run(Job("quality", (), 1.0)) == "quality@1"
    del recorder.infos[1]
    with pytest.raises(SolError, match="worker 0: the hardware differs"):
        crew.wait()
