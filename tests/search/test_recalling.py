"""The executor that answers from the ledger."""

from __future__ import annotations

from typing import ClassVar

import pytest
from fakes import SPACES, FakeWorker

from sol.search.crew import Crew, Job
from sol.search.executors.inline import InlineExecutor
from sol.search.executors.recalling import RecallingExecutor
from sol.search.ledger import Ledger
from sol.search.records import Brief, QualityFloor
from sol.search.worker import WorkerPlan


class CountingWorker(FakeWorker):
    asked: ClassVar[list[str]] = []

    def echo(self, value):
        self.asked.append(value)
        return value

    def fail(self):
        self.asked.append("fail")
        super().fail()


@pytest.fixture(autouse=True)
def _nothing_asked():
    CountingWorker.asked = []


def start(folder) -> Crew:
    executor = RecallingExecutor(InlineExecutor(make_worker=CountingWorker), Ledger(folder))
    return Crew(executor, executor.start_workers(WorkerPlan("fake", None, None, {}, folder)))


def job(method, *args) -> Job:
    return Job(method, args, 10.0)


def test_what_was_measured_is_answered_without_a_worker_and_says_so(tmp_path):
    jobs = [job("echo", "a"), job("fail"), job("echo", "b")]
    first = start(tmp_path).run_all(jobs)
    second = start(tmp_path).run_all(jobs)
    assert CountingWorker.asked == ["a", "fail", "b"]
    assert [(d.value, d.failure, d.reason) for d in first] == [
        (d.value, d.failure, d.reason) for d in second
    ]
    assert [d.recalled for d in first] == [False] * 3
    assert [d.recalled for d in second] == [True] * 3


def test_known_and_unknown_jobs_come_back_each_with_its_own_answer(tmp_path):
    start(tmp_path).run_all([job("echo", "a"), job("echo", "c")])
    done = start(tmp_path).run_all([job("echo", text) for text in "abcd"])
    assert [(d.value, d.recalled) for d in done] == [
        ("a", True), ("b", False), ("c", True), ("d", False)
    ]  # fmt: skip
    assert CountingWorker.asked == ["a", "c", "b", "d"]


def test_the_same_question_twice_is_two_measurements(tmp_path):
    twice = [job("echo", "a"), job("echo", "a")]
    start(tmp_path).run_all(twice)
    assert CountingWorker.asked == ["a", "a"]
    start(tmp_path).run_all([*twice, job("echo", "a")])
    assert CountingWorker.asked == ["a", "a", "a"]


def test_a_kill_between_the_answer_and_the_ledger_costs_that_measurement_alone(
    tmp_path, monkeypatch
):
    crew = start(tmp_path)
    crew.run_all([job("echo", "a")])

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "keep", die)
    with pytest.raises(KeyboardInterrupt):
        crew.run_all([job("echo", "b")])
    monkeypatch.undo()
    start(tmp_path).run_all([job("echo", "a"), job("echo", "b")])
    assert CountingWorker.asked == ["a", "b", "b"]


def test_a_kill_between_the_ledger_and_whoever_asked_costs_nothing(tmp_path, monkeypatch):
    crew = start(tmp_path)
    keep = Ledger.keep

    def keep_and_die(*args):
        keep(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "keep", keep_and_die)
    with pytest.raises(KeyboardInterrupt):
        crew.run_all([job("echo", "a")])
    monkeypatch.undo()
    (done,) = start(tmp_path).run_all([job("echo", "a")])
    assert (done.value, done.recalled) == ("a", True)
    assert CountingWorker.asked == ["a"]


def test_agents_are_those_of_the_executor_behind_it(tmp_path):
    brief = Brief("cache", SPACES["cache"], 3.0, "because", QualityFloor(30.0, 20.0), 5, 0)
    executor = RecallingExecutor(InlineExecutor(make_worker=CountingWorker), Ledger(tmp_path))
    executor.start_agent(brief)
    assert executor.ask_agent("cache", "hypothesise").config == {"threshold": 0.1}
    assert executor.name == "inline"
    executor.close()
