"""Both executors behave alike; what a worker does wrong is an outcome, never an end."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from fakes import SPACES, FakeWorker

from sol.commands.executor import ExecutorChoice
from sol.errors import SolError
from sol.search.agent import SkillAgent
from sol.search.executors.base import needs_new_worker
from sol.search.executors.cluster_address import require_reachable
from sol.search.executors.inline import InlineExecutor
from sol.search.executors.placement import WorkerNeeds, choose_n_workers
from sol.search.records import Brief, Finding, Outcome, QualityFloor
from sol.search.worker import ContaminatedWorkerError, WorkerPlan

LIMIT_S = 60.0
BRIEF = Brief("cache", SPACES["cache"], 2.0, "", QualityFloor(25.0, 0.0), 5, 0)


class MortalAgent(SkillAgent):
    """An agent whose process can end."""

    def die(self):
        os._exit(1)

    def die_once(self, mark):
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return [finding.text for finding in self._findings]


def drain(executor, ticket):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for done in executor.wait(0.2):
            if done.ticket == ticket:
                return done
    raise AssertionError("no answer")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return WorkerPlan("fake", None, None, {}, tmp_path_factory.mktemp("baseline"))


@pytest.fixture(scope="module")
def inline(plan):
    executor = InlineExecutor(make_worker=FakeWorker)
    executor.start_workers(plan)
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def ray(plan):
    pytest.importorskip("ray")
    from sol.search.executors.ray import RayExecutor

    executor = RayExecutor(
        2,
        make_worker=FakeWorker,
        make_agent=MortalAgent,
        module_paths=(str(Path(__file__).parent),),
    )
    executor.start_workers(plan)
    yield executor
    executor.close()


@pytest.fixture(params=["inline", pytest.param("ray", marks=pytest.mark.slow)])
def executor(request):
    return request.getfixturevalue(request.param)


def test_a_value_comes_back(executor):
    done = drain(executor, executor.submit(0, "echo", {"a": 1}, limit_s=LIMIT_S))
    assert (done.value, done.failure) == ({"a": 1}, None)


def test_an_exception_is_a_failure_with_its_reason(executor):
    done = drain(executor, executor.submit(0, "fail", limit_s=LIMIT_S))
    assert done.failure == "failed"
    assert done.reason == "ValueError: on purpose"
    again = drain(executor, executor.submit(0, "echo", 1, limit_s=LIMIT_S))
    assert again.value == 1


def test_a_contaminated_worker_is_replaced(executor):
    done = drain(executor, executor.submit(0, "contaminate", limit_s=LIMIT_S))
    assert done.failure == "failed"
    assert drain(executor, executor.submit(0, "echo", 2, limit_s=LIMIT_S)).value == 2


def test_agents_answer(executor):
    executor.start_agent(BRIEF)
    proposal = executor.ask_agent("cache", "hypothesise")
    assert proposal.technique == "easycache"
    assert executor.ask_agent("cache", "state").trials == 1


def test_waiting_without_jobs_returns_at_once(executor):
    assert executor.wait(30.0) == []


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_job_recorded(ray):
    done = drain(ray, ray.submit(1, "die", limit_s=LIMIT_S))
    assert done.failure == "lost"
    assert drain(ray, ray.submit(1, "echo", 3, limit_s=LIMIT_S)).value == 3


@pytest.mark.slow
def test_a_worker_that_hangs_is_replaced_after_its_limit(ray):
    done = drain(ray, ray.submit(1, "sleep", 600.0, limit_s=2.0))
    assert done.failure == "timeout"
    assert drain(ray, ray.submit(1, "echo", 4, limit_s=LIMIT_S)).value == 4


def test_inline_replaces_a_contaminated_worker_by_a_new_one(plan):
    executor = InlineExecutor(make_worker=FakeWorker)
    executor.start_workers(plan)
    made = FakeWorker.made
    drain(executor, executor.submit(0, "contaminate", limit_s=LIMIT_S))
    assert FakeWorker.made == made + 1


@pytest.mark.slow
def test_several_jobs_of_a_dead_worker_replace_it_once(ray):
    tickets = [ray.submit(0, method, limit_s=LIMIT_S) for method in ("die", "die", "describe")]
    lost = {}
    while len(lost) < len(tickets):
        lost |= {done.ticket: done.failure for done in ray.wait(1.0)}
    assert set(lost.values()) == {"lost"}
    assert drain(ray, ray.submit(0, "echo", 5, limit_s=LIMIT_S)).value == 5


@pytest.mark.slow
def test_a_lost_worker_is_out_of_service_until_another_has_loaded_the_target(ray):
    drain(ray, ray.submit(0, "die", limit_s=LIMIT_S))
    assert set(ray.in_service()) == {1}
    deadline = time.monotonic() + 60
    while set(ray.in_service()) != {0, 1}:
        assert time.monotonic() < deadline
        assert ray.wait(0.5) == []


@pytest.mark.slow
def test_an_agent_that_dies_recalls_and_is_asked_again(ray, tmp_path):
    ray.start_agent(BRIEF)
    ended, open_one = (ray.ask_agent("cache", "hypothesise") for _ in range(2))
    ray.ask_agent("cache", "observe", Finding("attention", "half is local", {}))
    history = [(ended, Outcome("failed", "no room"))]
    ray.remember(lambda skill: (history, [open_one]))
    assert ray.ask_agent("cache", "die_once", tmp_path / "died") == ["half is local"]
    assert ray.ask_agent("cache", "state").trials == 2
    assert ray.ask_agent("cache", "hypothesise") == open_one


@pytest.mark.slow
def test_an_agent_that_dies_of_a_question_ends_the_run_with_the_question(ray):
    ray.start_agent(BRIEF)
    ray.remember(lambda skill: ([], []))
    with pytest.raises(SolError, match="agent of cache died twice when asked to die"):
        ray.ask_agent("cache", "die")


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": resources}


NODES = (
    node(CPU=4.0, GPU=2.0, memory=80e9),
    node(CPU=16.0, memory=30e9),
    node(False, CPU=64.0, GPU=8.0, memory=900e9),
)


@pytest.mark.parametrize(
    ("asked", "needs", "nodes", "n_workers"),
    [
        (None, WorkerNeeds(gpus=None), NODES, 2),
        (None, WorkerNeeds(gpus=None), NODES[1:], 8),
        (None, WorkerNeeds(gpus=0, cpus=6), NODES, 2),
        (None, WorkerNeeds(gpus=1, memory_bytes=50 * 10**9), NODES, 1),
        (12, WorkerNeeds(), NODES, 12),
        (1, WorkerNeeds(gpus=1), NODES, 1),
    ],
)
def test_as_many_workers_as_asked_for_or_as_there_is_room_for(asked, needs, nodes, n_workers):
    assert choose_n_workers(asked, needs.resolve(nodes), nodes) == n_workers


@pytest.mark.parametrize(
    ("asked", "needs", "told"),
    [
        (3, WorkerNeeds(gpus=1), r"3 worker\(s\) of 1 CPU, 1 GPU each.*room for 2"),
        (None, WorkerNeeds(memory_bytes=10**12), r"1e\+12 memory each.*room for 0"),
    ],
)
def test_more_workers_than_there_is_room_for_are_refused(asked, needs, told):
    with pytest.raises(SolError, match=told):
        choose_n_workers(asked, needs, NODES)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:999999"])
def test_an_address_at_which_nothing_answers_is_an_error_at_once(address):
    with pytest.raises(SolError, match=f"joined at {address}.*ray start --head"):
        require_reachable(address)


def test_an_address_that_ray_is_to_find_is_not_checked():
    require_reachable("auto")


@pytest.mark.parametrize(
    ("error", "is_needed"),
    [
        (ContaminatedWorkerError("changed"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
        (ValueError("on purpose"), False),
    ],
)
def test_after_which_errors_a_worker_is_of_no_more_use(error, is_needed):
    assert needs_new_worker(error) is is_needed


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"n_workers": 0}, "at least 1, got 0"),
        ({"worker_memory_gb": 0.0}, "more than 0 GB, got 0"),
    ],
)
def test_a_choice_that_no_node_can_serve_is_refused(choice, told):
    options = {"name": "ray", "n_workers": None, "device": None, "ray_address": None, **choice}
    with pytest.raises(SolError, match=told):
        ExecutorChoice(**options)
