import json

import pytest

from sol.validator.review.answer_log import AnswerLog, NotKeptError, read_answers
from sol.validator.review.answers import Answer, Mark, current_answers, is_revealed, parse_answer
from sol.validator.review.plan import ReviewError

WHEN = "2026-01-02T03:04:05+00:00"
FULL = Answer("a", "left", ("blur", "other"), "Zoë's “note”\n", Mark("left", 3, 0.5, 1.0), 4.5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.jsonl"


def written(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def kept(path):
    return current_answers(read_answers(path).events)


def give(path, *answers):
    log = AnswerLog(path)
    for answer in answers:
        log.give(answer, WHEN)
    log.close()


def test_what_is_given_is_what_is_read(path):
    give(path, FULL)
    assert kept(path) == {"a": FULL}


def test_a_changed_answer_counts_and_the_earlier_one_is_kept(path):
    give(path, Answer("a", "left"), Answer("b", "none"), Answer("a", "right"))
    assert kept(path) == {"b": Answer("b", "none"), "a": Answer("a", "right")}
    assert [line["answer"]["choice"] for line in written(path)] == ["left", "none", "right"]


def test_the_same_answer_again_adds_nothing(path):
    give(path, Answer("a", "left", seconds=1.0), Answer("a", "left", seconds=1.4))
    assert len(written(path)) == 1


def test_what_is_undone_is_open_again_and_may_be_answered(path):
    log = AnswerLog(path)
    log.give(FULL, WHEN)
    log.undo("a", WHEN)
    assert log.current == {}
    log.give(FULL, WHEN)
    log.close()
    assert kept(path) == {"a": FULL}
    assert [line["event"] for line in written(path)] == ["answer", "undo", "answer"]


def test_the_end_of_the_blind_part_is_kept(path):
    log = AnswerLog(path)
    log.reveal(WHEN)
    log.reveal(WHEN)
    log.close()
    assert is_revealed(read_answers(path).events)
    assert len(written(path)) == 1


def test_a_line_cut_anywhere_is_taken_away_and_reported(path):
    give(path, Answer("a", "left"), FULL)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first + 1, len(whole) - 1):
        path.write_bytes(whole[:end])
        log = AnswerLog(path)
        assert log.current == {"a": Answer("a", "left")}
        assert f"cut off after {end - first} bytes" in log.repaired
        log.give(Answer("b", "none"), WHEN)
        log.close()
        assert list(kept(path)) == ["a", "b"]


def test_a_whole_line_without_its_end_counts(path):
    give(path, Answer("a", "left"))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    log = AnswerLog(path)
    assert log.repaired == ""
    log.give(Answer("b", "none"), WHEN)
    log.close()
    assert list(kept(path)) == ["a", "b"]


def test_reading_leaves_the_file_as_it_is(path):
    give(path, Answer("a", "left"))
    path.write_bytes(path.read_bytes() + b'{"event": "ans')
    before = path.read_bytes()
    assert len(read_answers(path).events) == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    ["{}", "nonsense", '{"event": "answer"}', '{"event": "spy", "when": ""}', "\ufeff", "[]"],
)
def test_a_bad_line_in_the_middle_is_refused_with_its_number(path, line):
    give(path, Answer("a", "left"))
    path.write_bytes(path.read_bytes() + line.encode() + b"\n" + path.read_bytes())
    with pytest.raises(ReviewError, match=r"line 2 is not an answer.*--again"):
        AnswerLog(path)


def test_a_full_disk_keeps_the_file_whole_and_says_so(path, monkeypatch):
    give(path, Answer("a", "left"))
    log, before = AnswerLog(path), path.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(NotKeptError, match=r"No space left.*give it again"):
            log.give(FULL, WHEN)
    assert path.read_bytes() == before
    assert list(log.current) == ["a"]
    log.give(Answer("b", "none"), WHEN)
    log.close()
    assert list(kept(path)) == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choice": "both"}, "choice"),
        ({"choice": None}, "choice"),
        ({"flaws": ["ugly"]}, "flaws"),
        ({"flaws": ["blur"] * 8}, "flaws"),
        ({"note": "x" * 2001}, "note"),
        ({"note": 3}, "note"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": float("inf")}, "seconds"),
        ({"mark": {"side": "left", "frame": 0, "x": 1.1, "y": 0}}, "mark.x"),
        ({"mark": {"side": "left", "frame": -1, "x": 0, "y": 0}}, "mark.frame"),
        ({"mark": {"side": "none", "frame": 0, "x": 0, "y": 0}}, "mark.side"),
        ({"mark": {"side": "left", "frame": 0, "x": float("nan"), "y": 0}}, "mark.x"),
        ({"arm": "baseline"}, "arm: no such key"),
    ],
)
def test_what_is_no_answer_is_refused_by_its_key(change, message):
    with pytest.raises(ReviewError, match=message):
        parse_answer({"trial": "a", "choice": "left"} | change)


@pytest.mark.parametrize("data", [None, [], "left", 3, {}, {"trial": "a"}])
def test_what_has_no_choice_is_no_answer(data):
    with pytest.raises(ReviewError, match="Not an answer"):
        parse_answer(data)
