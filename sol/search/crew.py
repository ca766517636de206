"""The crew: the workers of a run, with the lease on each device and a way to run many jobs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sol.errors import SolError
from sol.search.alike import find_difference, require_alike
from sol.search.executors.base import Done, Executor
from sol.search.lease import Holder, may_start
from sol.search.records import WorkerInfo

POLL_S = 0.5
"""The longest wait for an executor: after a key press the run stops within this time."""

TRIAL_LIMIT_S = 600.0
"""For one job of a trial: what takes longer is taken for hanging."""

_PATIENCE_S = 900.0
"""How long a run waits for a worker when it has none: a large model takes minutes to load."""


@dataclass(frozen=True)
class Job:
    """A worker's method and arguments.

    Attributes:
        is_timing: Needs the device alone.
        worker: The only worker that may run it, as long as that one is in service; or None for
            any.
    """

    method: str
    args: tuple[Any, ...]
    limit_s: float
    is_timing: bool = False
    worker: int | None = None


@dataclass(frozen=True)
class _Running:
    """A job under way; `holder` is of the device that the worker was on when it started."""

    ticket: int
    job: Job
    worker: int
    holder: Holder


class Crew:
    """Starts jobs where the lease allows it and collects what ends.

    A job whose worker was lost is started once more, because what ended the worker may have been
    anything: its node left, or a neighbour took the memory. A job that loses two workers ends as
    lost; one that hangs is not repeated, because its limit is the dearest way to fail.

    Args:
        infos: The workers as they started. One that comes back on other hardware, or with other
            versions, gets no work.
        on_lost: Hears of each job that is started once more.
        patience_s: How long to wait for a worker when none is in service.

    Raises:
        SolError: The workers are not alike.
    """

    def __init__(
        self,
        executor: Executor,
        infos: tuple[WorkerInfo, ...],
        on_lost: Callable[[Job, Done], None] | None = None,
        patience_s: float = _PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        require_alike(infos)
        self._executor = executor
        self._reference = infos[0]
        self._on_lost = on_lost
        self._patience_s = patience_s
        self._clock = clock
        self._last_in_service = clock()
        self._tickets = 0
        self._running: dict[int, _Running] = {}
        self._again: deque[tuple[int, Job]] = deque()
        self._repeated: set[int] = set()

    @property
    def is_busy(self) -> bool:
        """Whether any job runs, or could not because no worker is in service."""
        return bool(self._running or self._again) or not self._in_service()

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
        self._tickets += 1
        self._submit(self._tickets, job, worker)
        return self._tickets

    def wait(self) -> list[Done]:
        """What ended, after at most `POLL_S` seconds.

        Raises:
            SolError: No worker has been in service for too long.
        """
        self._start_again()
        ended = [self._end(item) for item in self._executor.wait(POLL_S)]
        self._require_service()
        return [done for done in ended if done is not None]

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

    def _start_again(self) -> None:
        while self._again:
            ticket, job = self._again[0]
            worker = self._find_worker(job)
            if worker is None:
                return
            self._again.popleft()
            self._submit(ticket, job, worker)

    def _submit(self, ticket: int, job: Job, worker: int) -> None:
        holder = Holder(self._in_service()[worker].device_key, job.is_timing)
        running = _Running(ticket, job, worker, holder)
        key = self._executor.submit(worker, job.method, *job.args, limit_s=job.limit_s)
        self._running[key] = running

    def _end(self, done: Done) -> Done | None:
        """With the crew's own ticket; None where the job is started once more."""
        running = self._running.pop(done.ticket)
        done = replace(done, ticket=running.ticket)
        if done.failure != "lost":
            return done
        if running.ticket in self._repeated:
            return replace(done, reason=f"twice: {done.reason}")
        self._repeated.add(running.ticket)
        self._again.append((running.ticket, running.job))
        if self._on_lost is not None:
            self._on_lost(running.job, done)
        return None

    def _find_worker(self, job: Job) -> int | None:
        infos = self._in_service()
        busy = {running.worker for running in self._running.values()}
        holders = [running.holder for running in self._running.values()]
        bound = job.worker is not None and job.worker in infos
        return next(
            (
                worker
                for worker in infos
                if not (bound and worker != job.worker)
                and worker not in busy
                and may_start(infos[worker].device_key, job.is_timing, holders)
            ),
            None,
        )

    def _in_service(self) -> Mapping[int, WorkerInfo]:
        return {
            worker: info
            for worker, info in self._executor.in_service().items()
            if find_difference(self._reference, info) is None
        }

    def _require_service(self) -> None:
        now = self._clock()
        if self._in_service():
            self._last_in_service = now
            return
        if now - self._last_in_service >= self._patience_s:
            raise SolError(
                f"No measuring worker has been in service for {self._patience_s:.0f} s"
                f"{self._tell_unlike()}. See `ray status` for nodes with room for one; what was "
                "measured is kept: add a node and resume the run."
            )
        time.sleep(POLL_S)

    def _tell_unlike(self) -> str:
        """Why those that the executor has get no work."""
        found = (
            (worker, find_difference(self._reference, info))
            for worker, info in self._executor.in_service().items()
        )
        return "".join(f"; worker {worker}: {difference}" for worker, difference in found)
