"""The report of a search: every stack beside its prediction, pairs, and what was promised."""

import json
from dataclasses import replace

import pytest
from example_prompts import DIAGNOSIS
from fakes import FakeWorker
from sessions import session_of

from sol.integrator.composer import Composer
from sol.integrator.cost import shares_of
from sol.search.records import Outcome, Proposal, Quality, QualityFloor, Speed
from sol.skills.registry import TECHNIQUES, get_technique
from sol.stages.prospects import Prospects, SkillProspects
from sol.stages.report import make_report, write_report
from sol.validator.report.model import Contribution, Interaction, NotTried, SkillBound


def outcome_of(speed, psnr):
    return Outcome(
        "measured",
        quality=Quality(psnr, psnr, 0.9, speed, 2),
        speed=Speed(speed, 0.98 * speed, 1.02 * speed, 3, (1.0,), (1 / speed,)),
    )


def learn_settings(composer, **speeds):
    for technique, speed in speeds.items():
        skill = get_technique(technique).skill
        proposal = Proposal(1, skill, technique, {}, "", 1.0)
        composer.learn_setting(proposal, outcome_of(speed, 45.0))
        composer.offer(skill, [proposal])


@pytest.fixture
def composer():
    """Of two settings, and of both together, which is slower than predicted."""
    made = Composer(shares_of(DIAGNOSIS), TECHNIQUES, QualityFloor(30.0, 25.0))
    learn_settings(made, easycache=1.6, int8_dynamic=1.2)
    made.learn_stack(made.propose(), outcome_of(1.5, 38.0))
    return made


def test_a_setting_alone_is_no_prediction_and_a_stack_is(composer, journal, tmp_path):
    session = session_of(FakeWorker, journal, tmp_path, DIAGNOSIS)
    write_report(session, {}, tuple(composer.stacks), ())
    report = json.loads((session.request.folder / "report.json").read_text())
    stacks = {len(stack["members"]): stack for stack in report["stacks"]}
    assert [s["is_prediction"] for s in report["stacks"]] == [False, False, True]
    both = stacks[2]
    assert both["predicted_low"] < both["predicted_speedup"] < both["predicted_high"]
    assert both["predicted_psnr"] > both["psnr"] == 38.0
    assert report["agreement"]["speedup"]["n"] == 1
    assert sum(share["seconds"] for share in report["time_shares"]) == pytest.approx(
        DIAGNOSIS.total_s
    )


def test_what_was_promised_and_what_members_add_is_in_both_files(composer, journal, tmp_path):
    session = session_of(FakeWorker, journal, tmp_path, DIAGNOSIS)
    skill = SkillProspects(
        SkillBound("cache", 3.0, "two steps of three"), (), (NotTried("pab", "too short"),), ()
    )
    parts = (Contribution("easycache", reason="it fell"),)
    pairs = (Interaction("easycache", "int8_dynamic", 0.91, 0.88, 0.95, None, 1),)
    stacks, prospects = tuple(composer.stacks), Prospects((), (skill,))
    page = write_report(session, {}, stacks, (), parts, pairs, prospects).read_text()
    for words in (
        "two steps of three",
        "too short",
        "not measured: it fell",
        "0.910 (0.880 to 0.950)",
    ):
        assert words in page
    report = json.loads((session.request.folder / "report.json").read_text())
    assert report["bounds"][0]["bound"] == 3.0
    assert report["not_tried"][0]["technique"] == "pab"


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (
            ("", "PSNR 20 dB is below the floor", ""),
            "3 stack(s) measured, none fit for the gate: ",
        ),
        (("", "", ""), "No technique gained beyond the timing noise"),
    ],
    ids=["one is out", "none gains"],
)
def test_without_a_candidate_the_headline_says_why(composer, journal, tmp_path, reasons, words):
    session = session_of(FakeWorker, journal, tmp_path, DIAGNOSIS)
    measured = tuple(map(lambda s, r: replace(s, reason=r), composer.stacks, reasons))
    assert make_report(session, {}, measured, ()).headline.startswith(words)
