"""A recorded space as a file."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from recorded_toy import OFFERS, stack_of, toy_space, write_space

from sol.errors import SolError
from sol.search.recorded_space import RecordedSpace, RecordedStack, key_of, read_space
from sol.search.records import Offer
from sol.space import Choice, Float, Int, Ranked, Space


@pytest.fixture(scope="module")
def space() -> RecordedSpace:
    return toy_space()


def test_what_was_written_is_read(space, tmp_path):
    write_space(space, tmp_path / "space.jsonl")
    found = read_space(tmp_path / "space.jsonl")
    assert found.header.info == space.header.info
    assert found.header.pairs == space.header.pairs
    assert found.header.diagnosis == space.header.diagnosis
    assert found.header.offers == OFFERS
    assert found.stacks == space.stacks


KNOBS = {
    "float": Float(0.01, 1.0, log=True, bolder="up"),
    "whole": Float(0.0, 2.0, bolder="down"),
    "int": Int(0, 8, bolder="down"),
    "unordered": Int(0, 8),
    "texts": Choice(("a", "b")),
    "numbers": Choice((0, 0.5, True)),
    "ranked texts": Ranked(("few", "all")),
    "ranked numbers": Ranked((1, 2.0, 3)),
}


@pytest.mark.parametrize("name", KNOBS)
def test_every_kind_of_knob_is_read_as_what_it_was(space, tmp_path, name):
    knobs = Space({name: KNOBS[name]})
    header = replace(space.header, offers={"cache": (Offer("easycache", knobs, "lossy"),)})
    write_space(RecordedSpace(header, {}), tmp_path / "space.jsonl")
    (offer,) = read_space(tmp_path / "space.jsonl").header.offers["cache"]
    assert offer.space.knobs[name] == KNOBS[name]
    assert repr(offer.space.knobs[name]) == repr(KNOBS[name])


def test_a_stack_is_found_by_its_knobs_in_any_order(space):
    stack = stack_of(
        space, easycache={"reuse": "ridge", "threshold": 0.3}, int8_dynamic={"layers": "some"}
    )
    found = space.find(stack)
    assert found == space.find(tuple(reversed(stack)))
    assert found.members["easycache"]["threshold"] == 0.3
    assert set(found.members) == {"easycache", "int8_dynamic"}


@pytest.mark.parametrize(
    "knobs",
    [
        pytest.param({"easycache": {"threshold": 0.25, "reuse": "ridge"}}, id="another value"),
        pytest.param({"easycache": {"reuse": "ridge"}}, id="a knob is missing"),
    ],
)
def test_a_setting_that_was_not_recorded_is_not_found(space, knobs):
    assert space.find(stack_of(space, **knobs)) is None


def test_a_stack_with_a_technique_that_was_not_recorded_is_not_found(space):
    known = stack_of(space, text_kv={})
    other = tuple(replace(item, technique="rotary_tables") for item in known)
    assert space.find(known) is not None
    assert space.find(known + other) is None


def test_two_members_are_the_same_in_any_order():
    assert key_of({"a": {"x": 1, "y": 2}, "b": {}}) == key_of({"b": {}, "a": {"y": 2, "x": 1}})
    assert key_of({"a": {"x": 1}}) != key_of({"a": {"x": 2}})


def test_what_a_worker_would_have_reported():
    stack = RecordedStack(
        {},
        psnr=(40.0, 50.0),
        ssim=(0.8, 1.0),
        baseline_s=(1.9, 2.1),
        accelerated_s=(1.0, 0.8, 1.25),
        counts={"easycache": {"calls_skipped": 3}},
    )
    quality, speed = stack.quality, stack.speed
    assert (quality.psnr, quality.worst_psnr, quality.n) == (45.0, 40.0, 2)
    assert quality.ssim == pytest.approx(0.9)
    assert quality.counts == stack.counts
    assert stack.speedup == speed.median == quality.rough_speedup == pytest.approx(2.0)
    assert (speed.low, speed.high, speed.n) == (pytest.approx(1.6), pytest.approx(2.5), 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: record the space anew"),
        ("no json\n", "is no recorded space"),
        ('{"members": {}}\n', "is no recorded space"),
        ("HEADER\nno json\n", "is no recorded space"),
        ('HEADER\n{"members": {"text_k', "is no recorded space"),
        ('HEADER\n{"members": {}, "psnr": ["high"]}\n', "is no recorded space"),
    ],
)
def test_a_broken_file_is_an_error_that_says_which(space, tmp_path, text, message):
    path = tmp_path / "space.jsonl"
    write_space(RecordedSpace(space.header, {}), path)
    header = path.read_text().strip()
    path.write_text(text.replace("HEADER", header))
    with pytest.raises(SolError, match=message) as raised:
        read_space(path)
    assert str(path) in str(raised.value)


def test_a_file_is_lines_of_json_with_the_header_first(space, tmp_path):
    write_space(space, tmp_path / "space.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "space.jsonl").read_text().splitlines()]
    assert "diagnosis" in lines[0]
    assert len(lines) == 1 + len(space.stacks)
