"""The process that is killed: a whole run on Ray. Started again on the same folder, it resumes.

python driver.py FOLDER {local,nodes}
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from killed_worker import UNKEPT, KilledWorker, write_line
from sessions import GATE

from sol.commands.run_result import write_result
from sol.search.budget import Budget
from sol.search.executors.ray import RayExecutor
from sol.search.executors.recalling import RecallingExecutor
from sol.search.journal import Journal
from sol.search.ledger import Ledger
from sol.search.question_key import find_key
from sol.search.spent import SpentTime
from sol.search.trial_storage import open_trial_store
from sol.stages.request import TuneRequest
from sol.stages.run_lock import hold
from sol.tune import tune
from sol.validator.profile import parse_profile

BUDGET = Budget("kill", 1e6, 6, 2, 3, 3, 3)
DELIVERED, NODES = "delivered.jsonl", "nodes.jsonl"
N_WORKERS = 2


class DeliveryBook:
    """An executor that writes down each measurement that it hands over."""

    def __init__(self, executor: Any, folder: Path) -> None:
        self._executor = executor
        self._folder = folder
        self._asked: dict[int, tuple[str, tuple[Any, ...]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def submit(self, worker: int, method: str, *args: Any, limit_s: float) -> int:
        ticket: int = self._executor.submit(worker, method, *args, limit_s=limit_s)
        self._asked[ticket] = (method, args)
        return ticket

    def wait(self, timeout_s: float) -> list[Any]:
        ended: list[Any] = self._executor.wait(timeout_s)
        for done in ended:
            method, args = self._asked.pop(done.ticket)
            if done.failure is None and not done.recalled and method not in UNKEPT:
                key = find_key(method, args, self._folder)
                write_line(self._folder / DELIVERED, key=key, method=method)
        return ended


@contextmanager
def cluster_of_nodes(folder: Path) -> Iterator[str]:
    """Address of a cluster with one node a worker; their raylets may be killed from outside."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    for _ in range(N_WORKERS):
        raylet = cluster.add_node(num_cpus=1).all_processes["raylet"][0].process
        write_line(folder / NODES, pid=raylet.pid)
        # A raylet is this process's child: until it is waited for, its workers think it lives.
        threading.Thread(target=raylet.wait, daemon=True).start()
    yield cluster.address
    cluster.shutdown()


@contextmanager
def address_of(folder: Path, kind: str) -> Iterator[str | None]:
    if kind == "local":
        yield None
        return
    with cluster_of_nodes(folder) as address:
        yield address


def run(folder: Path, address: str | None) -> None:
    ledger = Ledger(folder)
    request = TuneRequest(
        "fake", None, None, {}, BUDGET, parse_profile(GATE, "kill"), ("cache", "quantization"), 0,
        folder, store=open_trial_store(folder, None, "run"), spent=SpentTime(folder),
        ledger=ledger,
    )  # fmt: skip
    paths = tuple(path for path in sys.path if "tests" in Path(path).parts)
    executor = RayExecutor(
        N_WORKERS, address=address, make_worker=KilledWorker, module_paths=paths
    )
    try:
        with Journal(folder / "journal.jsonl", time.monotonic) as journal:
            book = DeliveryBook(RecallingExecutor(executor, ledger), folder)
            result = tune(request, book, journal)
    finally:
        executor.close()
    write_result(folder, result.to_json())


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    with hold(folder), address_of(folder, kind) as address:
        run(folder, address)


if __name__ == "__main__":
    main()
