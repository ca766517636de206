"""What each part alone does is measured once, in shares, and reaches the spaces."""

from typing import ClassVar

import pytest
from example_prompts import diagnosis_of
from fakes import FakeWorker
from sessions import session_of

from sol.stages.sensitivity import measure_parts
from sol.stages.start import prepare_search

N_PARTS = 11
PARTS = tuple({"layers": f"qkv={block}"} for block in range(N_PARTS))


class PartWorker(FakeWorker):
    shares: ClassVar[list[int]] = []
    seen = None

    def parts(self, skill, diagnosis):
        return {"int8_dynamic": PARTS} if skill == "quantization" else {}

    def part_errors(self, technique, configs, pair):
        assert technique == "int8_dynamic"
        type(self).shares.append(len(configs))
        return tuple(float(config["layers"].removeprefix("qkv=")) for config in configs)

    def offers(self, skill, diagnosis, tried):
        if skill == "quantization":
            type(self).seen = tried.part_errors
        return super().offers(skill, diagnosis, tried)


class BrokenWorker(PartWorker):
    def part_errors(self, technique, configs, pair):
        raise RuntimeError("out of memory")


@pytest.fixture
def session(tmp_path, journal):
    PartWorker.shares = []
    return session_of(
        PartWorker, journal, tmp_path, diagnosis_of((0.9, 0.1)), skills=("cache", "quantization")
    )


def test_every_part_is_measured_in_order(session, journal_lines):
    assert measure_parts(session, "quantization") == {
        "int8_dynamic": tuple(float(block) for block in range(N_PARTS))
    }
    assert sum(PartWorker.shares) == N_PARTS
    assert len(PartWorker.shares) > 1
    (line,) = [line for line in journal_lines() if line["turn"] == "sensitivity"]
    assert (line["technique"], line["parts"], line["reason"]) == ("int8_dynamic", N_PARTS, "")
    assert measure_parts(session, "cache") == {}


def test_the_spaces_are_made_with_them(session):
    prepare_search(session)
    assert len(PartWorker.seen["int8_dynamic"]) == N_PARTS


def test_where_they_cannot_be_measured_the_search_goes_on(tmp_path, journal, journal_lines):
    session = session_of(
        BrokenWorker, journal, tmp_path, diagnosis_of((0.9, 0.1)), skills=("quantization",)
    )
    assert measure_parts(session, "quantization") == {"int8_dynamic": ()}
    (line,) = [line for line in journal_lines() if line["turn"] == "sensitivity"]
    assert "out of memory" in line["reason"]
