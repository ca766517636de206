"""A cluster of several nodes: where workers are placed, and what a node that leaves costs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from fakes import SPACES, FakeWorker

from sol.errors import SolError
from sol.search.agent import SkillAgent
from sol.search.crew import Crew, Job
from sol.search.records import Brief, QualityFloor
from sol.search.worker import WorkerPlan

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

LIMIT_S = 60.0
HERE = str(Path(__file__).parent)


class PlacedWorker(FakeWorker):
    """Says on which node it is; loads the target as often as `loads` allows."""

    def describe(self):
        limit = self.plan.overrides.get("loads", 99)
        mark = self.plan.folder / f"load-{len(list(self.plan.folder.iterdir()))}"
        if len(list(self.plan.folder.iterdir())) >= limit:
            raise ValueError("the weights are gone")
        mark.touch()
        return super().describe()

    def where(self):
        return node_of_this_process()


class PlacedAgent(SkillAgent):
    """Says on which node it is."""

    def where(self):
        return node_of_this_process()


def node_of_this_process():
    import ray

    return ray.get_runtime_context().get_node_id()


@pytest.fixture(scope="module")
def cluster():
    """The driver's node, which has no CPU to lend, and two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def start(cluster, tmp_path):
    """Joins the cluster and starts workers there."""
    from sol.search.executors.ray import RayExecutor

    executors = []

    def start(n_workers=None, overrides=None, **options):
        executor = RayExecutor(
            n_workers,
            address=cluster.address,
            make_worker=PlacedWorker,
            make_agent=PlacedAgent,
            module_paths=(HERE,),
            **options,
        )
        executors.append(executor)
        infos = executor.start_workers(WorkerPlan("fake", None, None, overrides or {}, tmp_path))
        return executor, Crew(executor, infos)

    yield start
    for executor in executors:
        executor.close()


def node_of(cluster, node_id):
    return next(node for node in cluster.worker_nodes if node.node_id == node_id)


def wait_for_service(executor, workers):
    deadline = time.monotonic() + LIMIT_S
    while set(executor.in_service()) != workers:
        assert time.monotonic() < deadline, executor.in_service()
        executor.wait(0.2)


def test_a_node_that_leaves_costs_its_running_job_and_one_that_joins_is_used(cluster, start):
    executor, crew = start()
    executor.start_agent(Brief("cache", SPACES["cache"], 2.0, "", QualityFloor(25.0, 0.0), 5, 0))
    driver, agent = node_of_this_process(), executor.ask_agent("cache", "where")
    nodes = [crew.run(Job("where", (), LIMIT_S, worker=worker)) for worker in (0, 1)]
    assert agent == driver
    assert len({driver, *nodes}) == 3

    tickets = [executor.submit(worker, "sleep", 6.0, limit_s=LIMIT_S) for worker in (0, 1)]
    cluster.remove_node(node_of(cluster, nodes[1]), allow_graceful=False)
    ended = {}
    while len(ended) < len(tickets):
        ended |= {done.ticket: done for done in executor.wait(1.0)}
    assert [ended[ticket].failure for ticket in tickets] == [None, "lost"]
    assert set(executor.in_service()) == {0}
    jobs = [Job("echo", (n,), LIMIT_S, worker=n % 2) for n in range(4)]
    assert [done.value for done in crew.run_all(jobs)] == [0, 1, 2, 3]
    assert executor.ask_agent("cache", "hypothesise").technique == "easycache"

    cluster.add_node(num_cpus=1)
    wait_for_service(executor, {0, 1})
    assert crew.run(Job("where", (), LIMIT_S, worker=1)) not in (driver, *nodes)


def test_jobs_of_a_crew_outlive_the_node_that_they_ran_on(cluster, start):
    _, crew = start()
    node = node_of(cluster, crew.run(Job("where", (), LIMIT_S, worker=0)))
    tickets = {crew.start(Job("sleep", (4.0,), LIMIT_S)) for _ in range(2)}
    cluster.remove_node(node, allow_graceful=False)
    values = {}
    while crew.is_busy:
        values |= {done.ticket: done.value for done in crew.wait()}
    assert values == dict.fromkeys(tickets, "slept")
    cluster.add_node(num_cpus=1)


def test_workers_start_where_there_is_room_after_a_node_has_just_left(cluster, start):
    node = cluster.add_node(num_cpus=1)
    cluster.remove_node(node, allow_graceful=False)
    executor, crew = start()
    assert set(executor.in_service()) == {0, 1}
    done = crew.run_all([Job("echo", (n,), LIMIT_S, worker=n) for n in (0, 1)])
    assert [each.value for each in done] == [0, 1]


def test_more_workers_than_the_cluster_has_room_for_are_refused(start):
    # A node that has just left is counted until Ray has missed it for long enough.
    with pytest.raises(SolError, match=r"9 worker\(s\) of 1 CPU each.*room for [23]"):
        start(9)


def test_a_worker_that_cannot_load_the_target_again_ends_the_run_with_the_reason(start):
    _, crew = start(1, {"loads": 1})
    done = crew.run_all([Job("contaminate", (), LIMIT_S)])[0]
    assert done.failure == "failed"
    with pytest.raises(SolError, match=r"No measuring worker is left.*the weights are gone"):
        crew.run(Job("echo", (1,), LIMIT_S))


def test_a_worker_that_the_kernel_kills_is_replaced(start):
    _, crew = start(1)
    assert crew.run_all([Job("die", (), LIMIT_S)])[0].reason.startswith("twice: the worker died")
    assert crew.run(Job("echo", (os.getpid(),), LIMIT_S)) == os.getpid()
