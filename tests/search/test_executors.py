"""Both executors behave alike; what a worker does wrong is an outcome, never an end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fakes import SPACES, FakeWorker

from sol.search.executors.inline import InlineExecutor
from sol.search.records import Brief, QualityFloor
from sol.search.worker import WorkerPlan

LIMIT_S = 60.0


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

    executor = RayExecutor(2, make_worker=FakeWorker, module_paths=(str(Path(__file__).parent),))
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
    executor.start_agent(Brief("cache", SPACES["cache"], 2.0, "", QualityFloor(25.0, 0.0), 5, 0))
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
