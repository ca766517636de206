"""The crew: the workers of a run, with the lease on each device and a way to run many jobs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sol.errors import SolError
from sol.search.executors.base import Done, Executor
from sol.search.lease import Holder, may_start
from sol.search.records import WorkerInfo

POLL_S = 0.5
"""The longest wait for an executor: after a key press the run stops within this time."""


@dataclass(frozen=True)
class Job:
    """A worker's method and arguments.

    Attributes:
        is_timing: Needs the device alone.
        worker: The only worker that may run it, or None for any.
    """

    method: str
    args: tuple[Any, ...]
    limit_s: float
    is_timing: bool = False
    worker: int | None = None


class Crew:
    """Starts jobs where the lease allows it and collects what ends."""

    def __init__(self, executor: Executor, infos: tuple[WorkerInfo, ...]) -> None:
        self._executor = executor
        self._infos = infos
        self._running: dict[int, tuple[int, Job]] = {}

    @property
    def is_busy(self) -> bool:
        """Whether any job runs."""
        return bool(self._running)

    @property
    def has_room(self) -> bool:
        """Whether a job that shares its device could start on some worker."""
        return self._find_worker(Job("", (), 0.0)) is not None

    def may_start(self, job: Job) -> bool:
        """Whether a worker is idle and the lease allows `job` there."""
        return self._find_worker(job) is not None

    def start(self, job: Job) -> int:
        """Starts `job`; its ticket.

        Raises:
            SolError: No worker may run it now; ask `may_start` first.
        """
        worker = self._find_worker(job)
        if worker is None:
            raise SolError(f"No worker may start {job.method} now: wait for one to end.")
        ticket = self._executor.submit(worker, job.method, *job.args, limit_s=job.limit_s)
        self._running[ticket] = (worker, job)
        return ticket

    def wait(self) -> list[Done]:
        """What ended, after at most `POLL_S` seconds."""
        done = self._executor.wait(POLL_S)
        for item in done:
            del self._running[item.ticket]
        return done

    def run_all(
        self, jobs: Iterable[Job], on_done: Callable[[Job, Done], None] | None = None
    ) -> list[Done]:
        """Runs all jobs, as many at once as the workers and the lease allow; results in order."""
        waiting = deque(enumerate(jobs))
        open_jobs: dict[int, tuple[int, Job]] = {}
        results: dict[int, Done] = {}
        while waiting or open_jobs:
            self._start_from(waiting, open_jobs)
            for done in self.wait():
                index, job = open_jobs.pop(done.ticket)
                results[index] = done
                if on_done is not None:
                    on_done(job, done)
        return [results[index] for index in sorted(results)]

    def run(self, job: Job) -> Any:
        """Runs one job and returns its value.

        Raises:
            SolError: It failed; the reason is in the message.
        """
        done = self.run_all([job])[0]
        if done.failure is not None:
            raise SolError(f"{job.method} failed: {done.reason}")
        return done.value

    def _start_from(
        self, waiting: deque[tuple[int, Job]], open_jobs: dict[int, tuple[int, Job]]
    ) -> None:
        while waiting:
            job = waiting[0][1]
            if not self.may_start(job):
                return
            open_jobs[self.start(job)] = waiting.popleft()

    def _find_worker(self, job: Job) -> int | None:
        busy = {worker for worker, _ in self._running.values()}
        holders = self._holders()
        candidates = range(len(self._infos)) if job.worker is None else (job.worker,)
        return next(
            (
                worker
                for worker in candidates
                if worker not in busy
                and may_start(self._infos[worker].device_key, job.is_timing, holders)
            ),
            None,
        )

    def _holders(self) -> list[Holder]:
        return [
            Holder(self._infos[worker].device_key, job.is_timing)
            for worker, job in self._running.values()
        ]
