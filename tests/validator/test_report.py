import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest
from report_examples import (
    BOUNDS,
    CHECKS,
    CONTRIBUTIONS,
    HOSTILE,
    NOTHING,
    REJECTED,
    STACKS,
    TARGET,
    TIME_SHARES,
    make_example_sheets,
    make_report,
)
from report_reading import Page

from sol.validator.report.markup import Markup, element, join
from sol.validator.report.model import AgentReport, Point, StartCost, to_json
from sol.validator.report.page import render_html


@pytest.fixture(scope="module")
def sheets():
    return make_example_sheets()


@pytest.fixture(scope="module")
def text(sheets):
    return render_html(make_report(), sheets)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_hostile_text_is_shown_and_never_run(page):
    assert page.tags.count("script") == 1
    assert HOSTILE in page.text
    assert not any(key.startswith("on") for attrs in page.attributes for key in attrs)


def test_the_policy_allows_the_one_script_and_nothing_else(text):
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_the_page_needs_no_network(text, page):
    links = [a[key] for a in page.attributes for key in ("src", "href") if key in a]
    assert links
    assert all(link.startswith(("data:image/webp;base64,", "#")) for link in links)
    anchors = {attributes.get("id") for attributes in page.attributes}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    assert "url(" not in text


def test_the_verdict_comes_first_and_says_what_judged_it(page):
    assert page.text.index("Accepted") < page.text.index("Speed-up")
    assert "All 11 checks passed" in page.text
    assert page.text.index("embedded (proxy, not VBench)") < page.text.index("Accepted")


def test_the_speedup_has_its_interval_and_n(page):
    assert "1.62x" in page.texts
    assert "1.58 to 1.66, n = 10" in page.texts


def test_each_pair_has_a_player_with_both_arms_and_the_reason_why_it_is_shown(page):
    players = page.with_class("player")
    assert [p["data-label-a"] for p in players] == ["Baseline", "Baseline"]
    assert [p["data-frames"] for p in players] == ["17", "17"]
    assert len(page.with_class("sheet")) == 4
    assert page.text.index("lowest psnr, 24.1; lowest ssim, 0.902") < page.text.index(
        "sharpness ratio furthest from 1, 0.93"
    )


def test_the_first_player_alone_starts_by_itself(page):
    assert ["data-autoplay" in p for p in page.with_class("player")] == [True, False]


def test_a_pair_that_cannot_be_shown_says_why(page):
    assert "It is missing." in page.text


def test_where_no_videos_were_kept_that_is_said():
    page = Page(render_html(make_report(clips=()), {}))
    assert "The run keeps no videos of this stack." in page.texts


def test_a_player_says_what_its_pixels_are(page):
    assert page.text.count("Pixels as they are") == 2


def test_the_scatter_marks_the_winner_and_its_members_alone(page):
    assert len(page.with_class("mark")) == 33 + 5
    assert len(page.with_class("chosen")) == 2 + 1


def test_every_check_of_the_winner_has_a_row_and_a_picture(page):
    for check in CHECKS:
        assert check.name in page.texts
    drawn = [*CHECKS, *CHECKS, *STACKS[1].verdict.strata]
    contributed = [c for c in CONTRIBUTIONS if c.adds]
    others = [*contributed, *TIME_SHARES, *BOUNDS]
    assert len(page.with_class("bar")) == len(drawn) + len(others)


def test_checks_are_grouped_by_stage_and_the_failed_come_first():
    page = Page(render_html(make_report(**REJECTED), {}))
    order = ("Confirmation: 8 checks, 1 failed", "Screening: 1 check", "Probes: 2 checks")
    places = [page.text.index(words) for words in order]
    assert places == sorted(places)
    assert page.text.index("psnr_floor", places[-1]) < page.text.index("coverage", places[-1])


def test_both_arms_of_a_metric_of_one_video_are_shown(page):
    assert "0.9713" in page.texts
    assert "0.9709" in page.texts


def test_looks_and_kinds_of_prompts_are_told(page):
    assert "sharpness_ratio_min: bound 0.89" in page.texts
    assert "99.87%" in page.texts
    assert page.text.index("Kinds of prompts, the worst first") < page.text.index("texture")


def test_every_pair_is_a_dot_and_the_worst_of_each_metric_stands_out(page):
    report = make_report()
    assert len(page.with_class("dot")) == 2 * len(report.pairs)
    assert len(page.with_class("worst")) == 2


def test_what_each_member_adds_is_told_with_its_interval(page):
    assert "1.4x (1.36 to 1.44, n = 5)" in page.texts
    assert page.texts.count("inside the noise") == 2
    assert "not measured: it needs what was left out" in page.texts


def test_evidence_and_environment_are_there(page):
    for text in ("steps skipped 11", "linears 48", "610.0 MiB", "2.13.0", TARGET.fingerprint):
        assert text in page.texts


def test_a_run_without_a_winner_says_why_each_stack_failed():
    page = Page(render_html(make_report(**REJECTED), {}))
    assert "Nothing accepted" in page.text
    assert page.text.index("95% lower bound 23.9") < page.text.index("Baseline, one video")
    assert "Checks of easycache 0.08 + int8_dynamic" in page.texts
    assert "there is no recipe" in page.text
    assert "✗ failed" in page.texts


def test_where_quality_ends_is_told_by_agent():
    agent = AgentReport("cache", 3, 1, "done", edges=("easycache: threshold 0.2 held",))
    page = Page(render_html(make_report(agents=(agent,)), {}))
    assert "Where quality ends" in page.texts
    assert "cache: easycache: threshold 0.2 held" in page.texts


def test_a_calibrated_table_is_not_spelt_out():
    member = {"technique": "a", "config": {"table": [0.5] * 24, "n": 3}, "schedule": {}}
    stacks = (*STACKS[:1], replace(STACKS[1], members=(member,)))
    page = Page(render_html(make_report(stacks=stacks), {}))
    assert "table=(24 values), n=3" in page.texts


@pytest.mark.parametrize(
    ("without", "whole", "words"),
    [
        (38.5, 31.2, "7.30 dB"),
        (40.343085, 40.343107, "0.00 dB"),
        (30.0, 31.0, "-1.00 dB"),
        (100.0, 40.3, "all that is lost"),
        (100.0, 100.0, "nothing"),
    ],
)
def test_what_a_member_costs_in_quality(without, whole, words):
    member = replace(CONTRIBUTIONS[0], psnr_without=without, psnr_with=whole)
    page = Page(render_html(make_report(contributions=(member,)), {}))
    assert words in page.texts


def test_what_the_stack_costs_once_stands_beside_what_it_saves(page):
    assert "11.91 s" in page.texts
    assert "0.31 s to install, a first video 11.6 s longer" in page.texts
    assert "17 videos" in page.texts


@pytest.mark.parametrize(
    ("cost", "words"),
    [(StartCost(0.3, 9.0, None), "never"), (None, "not measured")],
    ids=["saves no time", "unknown"],
)
def test_what_is_not_known_of_a_start_is_said(cost, words):
    assert words in Page(render_html(make_report(cold_start=cost), {})).texts


def test_memory_is_told_before_during_and_after(page):
    start = page.texts.index("Weights in use")
    assert page.texts[start - 3 : start] == ["Baseline", "Accelerated", "After undo"]
    assert page.texts[start + 1 : start + 4] == ["41.0 MiB", "14.0 MiB", "41.0 MiB"]
    kept = page.texts.index("Kept besides, for undo")
    assert page.texts[kept + 1 : kept + 4] == ["—", "30.0 MiB", "—"]


def test_an_empty_run_still_renders():
    empty = make_report(**REJECTED | NOTHING)
    page = Page(render_html(empty, {}))
    assert "No stack reached the gate." in page.text
    assert "No setting was measured" in page.text


def test_one_setting_alone_can_be_drawn():
    point = Point("cache", "easycache", "easycache", 1.0, 30.0, "measured")
    page = Page(render_html(make_report(**REJECTED | {"stacks": (), "frontier": (point,)}), {}))
    assert len(page.with_class("mark")) == 1


def test_json_is_plain_and_finite():
    odd = Point("cache", "easycache", "easycache", float("nan"), float("inf"), "failed")
    data = json.loads(json.dumps(to_json(make_report(frontier=(odd,))), allow_nan=False))
    assert data["schema"] == "sol.report/1"
    assert data["frontier"][0]["speedup"] is None
    assert data["target"]["fingerprint"] == TARGET.fingerprint
    assert data["stacks"][1]["verdict"]["label"] == "embedded (proxy, not VBench)"
    assert data["stacks"][2]["verdict"] is None
    assert data["winner"] == 1
    assert data["pairs"][-1]["prompt"] == HOSTILE
    assert data["clips"][0]["reasons"] == ["lowest psnr, 24.1", "lowest ssim, 0.902"]
    assert data["contributions"][1]["is_noise"] is True
    assert data["pareto_set"] == [5, 3, 1, 0]
    assert data["agreement"]["speedup"]["n"] == 4
    assert data["agreement"]["psnr"]["rank_correlation"] == 1.0
    assert data["interactions"][1]["second"] == HOSTILE
    assert data["stacks"][1]["verdict"]["looks"][1]["outcome"] == "undecided"


def test_elements_escape_text_and_attributes_but_not_markup():
    made = element("p", "a < b", Markup("<b>c</b>"), None, title='"x"', class_="k", open=False)
    assert made == '<p title="&quot;x&quot;" class="k">a &lt; b<b>c</b></p>'
    assert join("&", made) == f"&amp;{made}"


def test_the_page_draws_what_changes_from_step_to_step():
    series = {"output": (0.2, 0.05, 0.1), "guidance": ()}
    page = render_html(make_report(redundancy=series, settling=None, clips=()), {})
    assert page.count("<polyline") == 1
    assert "output: 5.0% to 20.0% over 3 steps" in page
    assert "not recorded" in render_html(make_report(redundancy={}), {})


def test_attention_has_a_row_for_each_layer(page):
    start = page.texts.index("Held by the best") - 1
    head = ["Layer", "Held by the best", "Error, drop", "Error, mean", "Overlap, step before"]
    assert page.texts[start : start + 15] == [
        *head, "0", "61.2%", "21.0%", "13.0%", "95.0%", "1", "87.4%", "8.0%", "5.5%", "97.5%",
    ]  # fmt: skip
    assert "25% of the blocks of 64 tokens" in page.text
    assert "23% if they were drawn" in page.text


def test_settling_is_drawn_by_step(text):
    assert "tokens that change by less than 5% from here on: 0.0% to 100.0% over 4 steps" in text
    assert "calmest quarter over that of the liveliest: 20.0% to 80.0% over 3 steps" in text


def test_what_was_not_recorded_is_not_shown():
    page = Page(render_html(make_report(attention=None, settling=None), {}))
    assert "Held by the best" not in page.texts
    assert "Prediction of the clean video" not in page.texts
