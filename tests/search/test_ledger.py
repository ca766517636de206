"""The ledger, at whatever moment the process that writes it is killed."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
from example_prompts import diagnosis_of
from fakes import FakeWorker

from sol.errors import OutputError, SolError
from sol.measure.guidance import EffectiveGuidance, Unmeasurable
from sol.search.arms import PairFiles
from sol.search.executors.base import Done
from sol.search.ledger import Ledger
from sol.search.plain_data import NotPlainError, from_plain, to_plain
from sol.search.records import ColdStart, Offer, Quality, QualityFloor, Speed
from sol.search.worker import MemoryReading
from sol.space import Choice, Float, Int, Ranked, Space
from sol.technique import StackItem
from sol.validator.records import PairRecord, compare_pair

SPEED = Speed(1.1 + 2e-16, 1.0, float("inf"), 3, (1 / 3, 0.1), (0.3,))
ASKED = ("measure_speed", ((StackItem("easycache", {"threshold": 0.1}),), ("a prompt", 0), 3))
OTHER = ("measure_speed", ((StackItem("easycache", {"threshold": 0.2}),), ("a prompt", 0), 3))
SPACE = Space(
    {"a": Float(0.0, 1.0, log=False, bolder="up"), "b": Int(1, 2), "c": Choice((1, True, "x")),
     "d": Ranked((0.5, 0.7))},
    ({"a": 0.1},), {"table": (1.0, 2)}, {"b": {1: {"rest": (1,)}, 2: {"rest": ()}}},
)  # fmt: skip


def ok(value=SPEED) -> Done:
    return Done(1, 0, value)


def failed(failure="failed") -> Done:
    return Done(1, 0, failure=failure, reason="no room")


def keep(folder, *entries) -> Ledger:
    ledger = Ledger(folder)
    for asked, done in entries:
        ledger.keep(*asked, done)
    return ledger


@pytest.mark.parametrize(
    "value",
    [
        SPEED,
        Quality(40.0, float("nan"), 0.9, 1.1, 2, {"easycache": {"steps_skipped": 3}}),
        MemoryReading(1, 2, None, 3, 0, 1),
        ColdStart(0.5, 2.0, 1.0),
        None,
        (0.25, 1e-300),
        EffectiveGuidance(2.9, 3.0, 0.01, (2.9, 2.95)),
        Unmeasurable("made without guidance"),
        diagnosis_of((0.1, 0.2), n_videos=3),
        ((Offer("easycache", SPACE, "lossy", 1.5),), {"other": "it needs what is not there"}),
        {"mask": (({"steps": (1, 2)},), ({"steps": ()},))},
        (PairRecord("p", 1, {"motion": 0.1}, {}, {"psnr": 30.0}, ("black",)), {"t": {"n": 1}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_worker_said_comes_back_as_it_was(tmp_path, value):
    keep(tmp_path, (ASKED, ok(value)))
    answer = Ledger(tmp_path).find(*ASKED)
    assert repr(answer.value) == repr(value)
    assert type(answer.value) is type(value)


def test_an_array_is_not_kept_and_is_measured_again(tmp_path):
    ledger = Ledger(tmp_path)
    assert not ledger.keep("final_latents", (), ok(np.ones(3, np.float32)))
    assert Ledger(tmp_path).find("final_latents", ()) is None


@pytest.mark.parametrize(
    ("failure", "is_kept"),
    [("failed", True), ("no_effect", True), ("lost", False), ("timeout", False)],
)
def test_failures_are_kept_that_say_something_of_the_stack(tmp_path, failure, is_kept):
    keep(tmp_path, (ASKED, failed(failure)), (OTHER, ok()))
    answer = Ledger(tmp_path).find(*ASKED)
    assert (answer is not None) == is_kept
    assert answer is None or (answer.failure, answer.reason) == (failure, "no room")


def test_a_failure_at_the_end_may_have_ended_the_run_and_is_measured_again(tmp_path):
    keep(tmp_path, (OTHER, ok()), (ASKED, failed()))
    assert Ledger(tmp_path).find(*ASKED) is None
    keep(tmp_path, (ASKED, ok()))
    again = Ledger(tmp_path)
    assert again.find(*ASKED).value == SPEED
    assert again.n_answers == 2


def test_an_answer_is_given_once_and_a_question_asked_twice_is_measured_twice(tmp_path):
    second = replace(SPEED, median=2.0)
    ledger = keep(tmp_path, (ASKED, ok()))
    assert ledger.find(*ASKED) is None
    ledger.keep(*ASKED, ok(second))
    resumed = Ledger(tmp_path)
    assert [resumed.find(*ASKED) for _ in range(3)][2] is None
    resumed = Ledger(tmp_path)
    assert [resumed.find(*ASKED).value for _ in range(2)] == [SPEED, second]


def test_what_a_caller_has_from_elsewhere_is_passed_over(tmp_path):
    keep(tmp_path, (ASKED, ok()), (OTHER, ok()))
    resumed = Ledger(tmp_path)
    resumed.pass_over(*ASKED[:1], *ASKED[1])
    assert resumed.find(*ASKED) is None
    assert resumed.find(*OTHER) is not None


@pytest.mark.parametrize("n_bytes", [1, 40, -2, -1])
def test_a_line_that_was_being_written_is_measured_again_and_nothing_else(tmp_path, n_bytes):
    keep(tmp_path, (ASKED, ok()), (OTHER, ok()))
    path = tmp_path / "measurements.jsonl"
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[:n_bytes])
    resumed = Ledger(tmp_path)
    assert resumed.find(*OTHER) is None
    assert resumed.find(*ASKED).value == SPEED
    resumed.keep(*OTHER, ok())
    assert Ledger(tmp_path).find(*OTHER).value == SPEED


@pytest.mark.parametrize("torn", [b"", b'{"sch'])
def test_a_run_that_was_killed_before_its_first_measurement_has_none(tmp_path, torn):
    (tmp_path / "measurements.jsonl").write_bytes(torn)
    assert Ledger(tmp_path).n_answers == 0
    keep(tmp_path, (ASKED, ok()))
    assert Ledger(tmp_path).n_answers == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"schema": "sol.measurements/9"}\n', r"schema 'sol.measurements/9'.*version of Sol"),
        ('{"schema": "sol.measurements/1"}\nbroken\n{}\n', "line 2, is damaged.*remove the line"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_with_the_remedy(tmp_path, text, error):
    (tmp_path / "measurements.jsonl").write_text(text)
    with pytest.raises(SolError, match=error):
        Ledger(tmp_path)


def test_a_full_disk_is_said_with_the_way_to_go_on(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path)

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sol.search.ledger.os.fsync", fail)
    with pytest.raises(OutputError, match=r"No space left on device.*--resume"):
        ledger.keep(*ASKED, ok())


def pair_question(root, metrics=frozenset({"psnr", "motion"})):
    files = PairFiles(root / "videos" / "a.mp4", root / "videos" / "b.mp4", 8.0)
    compare = functools.partial(compare_pair, metrics=metrics)
    return "compare", ((StackItem("easycache", {"threshold": 0.1}),), ("p", 0), compare, files)


def test_a_run_that_was_moved_knows_what_it_measured(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    keep(before, (pair_question(before), ok()))
    before.rename(after)
    assert Ledger(after).find(*pair_question(after)) is not None


def test_other_metrics_are_another_question(tmp_path):
    ledger = keep(tmp_path, (pair_question(tmp_path), ok()))
    ledger = Ledger(tmp_path)
    assert ledger.find(*pair_question(tmp_path, frozenset({"psnr"}))) is None


@pytest.mark.parametrize(
    "other",
    [
        ("measure_quality", ASKED[1]),
        (ASKED[0], (*ASKED[1], QualityFloor(30.0, 20.0))),
        (ASKED[0], ((StackItem("easycache", {"threshold": True}),), ("a prompt", 0), 3)),
        (ASKED[0], ((), ("a prompt", 0), 3)),
    ],
)
def test_another_question_has_another_answer(tmp_path, other):
    keep(tmp_path, (ASKED, ok()))
    assert Ledger(tmp_path).find(*other) is None


def test_a_setting_that_came_back_from_a_file_is_the_same_question(tmp_path):
    def asked(table):
        return "measure_speed", ((StackItem("magcache", {"b": 1, "table": table}),), 3)

    keep(tmp_path, (asked((1.0, (2.0,))), ok()))
    assert Ledger(tmp_path).find(*asked([1.0, [2.0]])) is not None


def test_what_has_no_lasting_name_is_never_mistaken_for_something_else(tmp_path):
    ledger = keep(tmp_path, (("compare", (lambda: 1,)), ok()))
    assert ledger.n_answers == 0
    assert Ledger(tmp_path).find("compare", (lambda: 2,)) is None


def test_numbers_of_two_targets_or_versions_do_not_mix(tmp_path):
    info = replace(FakeWorker(None).describe(), versions={"torch": "2.13"})
    Ledger(tmp_path).bind(info)
    Ledger(tmp_path).bind(info)
    with pytest.raises(SolError, match=r"torch 2\.13 then, 2\.14 now.*without --resume"):
        Ledger(tmp_path).bind(replace(info, versions={"torch": "2.14"}))
    with pytest.raises(SolError, match=r"target \w{16} then, \w{16} now"):
        Ledger(tmp_path).bind(replace(info, hardware=replace(info.hardware, name="other")))


def test_a_record_of_another_version_of_sol_is_measured_again(tmp_path):
    keep(tmp_path, (ASKED, ok()), (OTHER, ok()))
    path = tmp_path / "measurements.jsonl"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace('"median"', '"middle"')
    path.write_text("\n".join(lines) + "\n")
    resumed = Ledger(tmp_path)
    assert resumed.find(*ASKED) is None
    assert resumed.find(*OTHER) is not None


@pytest.mark.parametrize("name", ["os:system", "sol.errors:SolError2", "sol.search.ledger:os"])
def test_nothing_but_records_of_sol_is_made_from_a_file(name):
    with pytest.raises(NotPlainError):
        from_plain(json.loads(json.dumps({"@class": name, "args": []})))


def test_an_object_of_another_kind_is_not_plain():
    with pytest.raises(NotPlainError, match="object is no plain data"):
        to_plain({"a": (object(),)})
