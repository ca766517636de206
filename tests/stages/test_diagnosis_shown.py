"""What journal and report say of the diagnosis."""

from dataclasses import replace

import pytest
from example_prompts import DIAGNOSIS
from fakes import FakeWorker
from sessions import session_of
from sparsity_examples import ATTENTION, SETTLING

from sol.stages.diagnosis_lines import write_diagnosis
from sol.stages.report import make_report

SEEN = replace(DIAGNOSIS, attention=ATTENTION, settling=SETTLING)


def test_each_recording_has_a_line(journal, journal_lines):
    write_diagnosis(journal, "start", SEEN)
    lines = {line["turn"]: line for line in journal_lines()}
    assert list(lines) == ["diagnosis", "times", "redundancy", "attention", "settling"]
    seen = lines["attention"]
    assert (seen["least_mass"], seen["most_mass"]) == (0.25, 0.9)
    assert (seen["error_drop"], seen["error_mean"]) == (0.4, 0.2)
    assert seen["overlap"] == {"1": 0.9, "4": 0.75}
    assert lines["settling"]["settled_half_way"] == 0.6
    assert (lines["settling"]["least_spread"], lines["settling"]["most_spread"]) == (0.2, 0.8)


def test_what_was_not_recorded_has_no_line(journal, journal_lines):
    write_diagnosis(journal, "start", replace(SEEN, attention=None, settling=None))
    assert [line["turn"] for line in journal_lines()] == ["diagnosis", "times", "redundancy"]


def test_long_tables_stay_out_of_the_journal(journal, journal_lines):
    write_diagnosis(journal, "start", SEEN)
    (line,) = [line for line in journal_lines() if line["turn"] == "diagnosis"]
    assert "attention" not in line
    assert "gram" not in line["redundancy"]
    assert line["redundancy"]["output_change"] == [0.5, 0.1, 0.1]


def test_the_report_has_attention_by_layer(journal, tmp_path):
    report = make_report(session_of(FakeWorker, journal, tmp_path, SEEN), {}, (), ())
    first = report.attention.layers[0]
    assert report.attention.density == 0.25
    assert len(report.attention.layers) == 2
    assert first.mass == pytest.approx(0.7)
    assert first.error == pytest.approx({"drop": 0.25, "mean": 0.125})
    assert first.overlap == {"step before": 0.95, "4 steps before": 0.8, "other prompt": 0.6}
    assert report.settling is SETTLING


def test_one_video_has_no_overlap_between_prompts(journal, tmp_path):
    alone = replace(SEEN, attention=replace(ATTENTION, prompt_overlap=()))
    report = make_report(session_of(FakeWorker, journal, tmp_path, alone), {}, (), ())
    assert set(report.attention.layers[0].overlap) == {"step before", "4 steps before"}


def test_a_report_without_recordings_says_nothing_of_them(journal, tmp_path):
    report = make_report(session_of(FakeWorker, journal, tmp_path, DIAGNOSIS), {}, (), ())
    assert report.attention is None
    assert report.settling is None
