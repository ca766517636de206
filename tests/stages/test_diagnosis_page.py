"""What is known before the search, as a page."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from example_prompts import DIAGNOSIS, diagnosis_of
from fakes import FakeWorker
from sessions import session_of

from sol.stages.diagnosis_page import write_diagnosis_page
from sol.stages.prospects import Prospects, Sensitivity, SkillProspects, TechniqueBound
from sol.stages.time_shares import share_time
from sol.validator.report.model import NotTried, SkillBound

SKILL = SkillProspects(
    bound=SkillBound("quantization", 2.5, "linear layers for <nothing>"),
    techniques=(TechniqueBound("quantization", "int8_rows", 2.25),),
    not_tried=(NotTried("fp8", "this device has no float8"),),
    sensitivities=(Sensitivity("int8_dynamic", (0.5, 0.25, 0.0)),),
)
PROSPECTS = Prospects(share_time(DIAGNOSIS), (SKILL,))


@pytest.fixture
def write(journal, tmp_path):
    session = session_of(FakeWorker, journal, tmp_path, DIAGNOSIS)
    return lambda prospects: write_diagnosis_page(session, prospects).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    ["linear layers for &lt;nothing&gt;", "2.25x", "this device has no float8", "0.00% to 50.00%",
     "feed-forward", "output, against the step before", "One baseline video takes 10 s"],
)  # fmt: skip
def test_the_page_says(write, text):
    assert text in write(PROSPECTS)


def body_of(page):
    return ElementTree.fromstring(page[page.index("<body>") : page.index("</html>")])


def test_it_is_well_formed_and_needs_nothing_from_elsewhere(write):
    page = write(PROSPECTS)
    assert body_of(page).find("main/header/h1").text.startswith("Sol: diagnosis of fake")
    assert "src=" not in page
    assert "<script" not in page


def test_the_most_sensitive_part_has_the_tallest_bar(write):
    drawings = body_of(write(PROSPECTS)).iter("svg")
    (drawing,) = [svg for svg in drawings if svg.get("aria-label").startswith("int8_dynamic")]
    assert [float(bar.get("height")) for bar in drawing.iter("rect")] == [44.0, 22.0, 0.0]


def test_the_blocks_are_drawn_by_how_much_they_change(journal, tmp_path):
    blocks = ((0.5, 0.25, 0.25), (0.75, 0.5, 0.5))
    diagnosis = diagnosis_of((0.5, 0.1, 0.1), block_change=blocks)
    session = session_of(FakeWorker, journal, tmp_path, diagnosis)
    page = write_diagnosis_page(session, PROSPECTS).read_text(encoding="utf-8")
    assert "What changes from block to block" in page
    assert "33.33% to 58.33%" in page


def test_what_there_is_nothing_of_has_no_section(write):
    bare = replace(SKILL, techniques=(), sensitivities=())
    page = write(Prospects(PROSPECTS.times, (bare,)))
    assert "How sensitive the parts are" not in page
    assert "What changes from block to block" not in page
    assert "What each technique could gain at most" not in page
