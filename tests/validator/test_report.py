import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from sol.measure.stats import Interval
from sol.target import Hardware, Model, Target, Workload
from sol.validator.report.markup import Markup, element, join
from sol.validator.report.model import (
    AgentReport,
    Clip,
    MemoryUse,
    Point,
    RunReport,
    StackReport,
    to_json,
)
from sol.validator.report.page import render_html
from sol.validator.report.scatter import find_ticks
from sol.validator.verdict import Check, Verdict

HOSTILE = '<script>alert("x")</script> & a $title fox'
MIB = 1024**2

CHECKS = (
    Check("coverage", True, 12.0, 12.0, 12.0, 24, "12 prompts with 2 seeds or more, 12 needed"),
    Check("sanity", True, 0.0, 0.0, 0.0, 24, "0 of 24 pairs have a problem", "<="),
    Check("off_is_identity", True, 0.0, 0.0, 0.0, 2, "bit-identical after undo", "<="),
    Check("engagement", True, 0.0, 0.0, 0.0, 24, "every technique engaged in every video", "<="),
    Check("temporal_flickering_difference", True, 0.0004, -0.0007, -0.003, 12, "mean 0.0004"),
    Check("sharpness_ratio_min", True, 0.981, 0.969, 0.9, 12, "ratio of means 0.981"),
    Check("sharpness_ratio_max", True, 0.981, 0.994, 1.1, 12, "ratio of means 0.981", "<="),
    Check("psnr_floor", True, 31.2, 29.6, 25.0, 12, "mean 31.2 over 12 prompts"),
    Check("psnr_worst", True, 24.1, 24.1, 18.0, 24, f"lowest is 24.1: {HOSTILE!r} seed 1"),
    Check("ssim_floor", True, 0.957, 0.948, 0.9, 12, "mean 0.957 over 12 prompts"),
)
BAD_CHECK = Check("psnr_floor", False, 25.4, 23.9, 25.0, 12, "mean 25.4, 95% lower bound 23.9")


def make_verdict(*failed):
    names = {check.name for check in failed}
    checks = (*(check for check in CHECKS if check.name not in names), *failed)
    reasons = tuple(f"{check.name}: {check.detail}" for check in failed)
    word = "rejected" if failed else "accepted"
    return Verdict(word, "embedded", "near-lossless", "ab" * 32, checks, reasons)


def make_members(threshold):
    return (
        {
            "technique": "easycache",
            "config": {"threshold": threshold, "warmup_steps": 4},
            "schedule": {"steps": "4-20"},
        },
        {"technique": "int8_dynamic", "config": {"layers": "feed_forward"}, "schedule": {}},
    )


STACKS = (
    StackReport(
        "easycache 0.08 + int8_dynamic",
        make_members(0.08),
        Interval(1.83, 1.79, 1.86, 10),
        1.95,
        25.4,
        "rejected",
        "the gate rejected it",
        make_verdict(BAD_CHECK),
    ),
    StackReport(
        "easycache 0.05 + int8_dynamic",
        make_members(0.05),
        Interval(1.62, 1.58, 1.66, 10),
        1.7,
        31.2,
        "accepted",
        "",
        make_verdict(),
    ),
    StackReport(
        "token_merge 0.5 + easycache 0.05",
        make_members(0.05)[:1],
        None,
        2.1,
        None,
        "failed",
        HOSTILE,
    ),
)


def make_points():
    rng = np.random.default_rng(0)
    skills = ("cache", "quantization", "kernel_fusion", "token_pruning", "sparse_attention")
    points = [
        Point(
            skill,
            f"{skill}_technique",
            f"{skill} setting {i}",
            float(1 + rng.gamma(2, 0.15) * (1 - 0.1 * k)),
            float(rng.uniform(20, 45)),
            "kept" if i < 2 else "dominated",
        )
        for k, skill in enumerate(skills)
        for i in range(6)
    ]
    return (
        *points,
        Point("cache", "easycache", "easycache 0.05", 1.41, 33.0, "kept", "", True),
        Point("quantization", "int8_dynamic", "int8_dynamic", 1.18, 38.5, "kept", "", True),
        Point("kernel_fusion", "compile", "compile", 1.12, 100.0, "kept"),
        Point("cache", "easycache", "easycache 0.9", None, None, "failed", "black video"),
    )


TARGET = Target(
    Model("pocket", "ltx", "0123abc", "cd" * 32),
    Hardware("cpu", "Example 9000", 8, 31.3, ("avx2", "avx512_vnni")),
    Workload(64, 64, 17, 24, 3.0, 16, 32, negative_prompt="<b>blurry</b>"),
)


def make_report(**changes):
    settings = {
        "run_id": "20260102-030405-pocket",
        "created": "2026-01-02T03:04:05+00:00",
        "outcome": "accepted",
        "headline": "1.62x faster on Example 9000, near-lossless",
        "target": TARGET,
        "profile": "near-lossless",
        "profile_digest": "ab" * 32,
        "versions": {"python": "3.11.7", "torch": "2.13.0", "sol-tuner": "0.1.0"},
        "baseline_s": Interval(1.94, 1.91, 1.99, 10),
        "agents": (
            AgentReport("cache", 24, 4, "finished", "steps 4-20 tolerate reuse"),
            AgentReport("sparse_attention", 0, 0, "does not apply", "80 tokens: nothing to skip"),
        ),
        "frontier": make_points(),
        "stacks": STACKS,
        "winner": 1,
        "memory": {
            "baseline": MemoryUse(41 * MIB, 610 * MIB),
            "accelerated": MemoryUse(14 * MIB, None),
        },
        "evidence": {"easycache": {"steps_skipped": 11}, "int8_dynamic": {"linears": 48}},
        "clips": (
            Clip("a red circle drifts right", 0, 36.5, 0.981, "good.webp"),
            Clip(HOSTILE, 1, 24.1, 0.902, "worst.webp"),
            Clip("a blue star on a dark background", 1, 30.0, 0.95, "gone.webp"),
        ),
    }
    return RunReport(**(settings | changes))


class Page(HTMLParser):
    """The tags, the attributes and the text of a page; fails on tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(self.texts)

    def with_class(self, name):
        return [a for a in self.attributes if name in a.get("class", "").split()]


@pytest.fixture
def page():
    return Page(render_html(make_report(), {"good.webp": b"GOOD", "worst.webp": b"WORST"}))


REJECTED = {
    "outcome": "nothing accepted",
    "headline": "No stack held quality",
    "winner": None,
    "stacks": (STACKS[0], STACKS[2]),
}


def test_hostile_text_is_shown_and_never_run(page):
    assert "script" not in page.tags
    assert HOSTILE in page.text
    assert not any(key.startswith("on") for attrs in page.attributes for key in attrs)


def test_the_page_needs_no_network():
    text = render_html(make_report(), {"worst.webp": b"WORST"})
    links = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", text)
    assert links
    assert all(link.startswith("data:image/webp;base64,") for link in links)
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_the_verdict_comes_first_and_says_what_judged_it(page):
    assert page.text.index("Accepted") < page.text.index("Speed-up")
    assert "All 10 checks passed" in page.text
    assert "embedded (proxy, not VBench)" in page.text


def test_the_speedup_has_its_interval_and_n(page):
    assert "1.62x" in page.texts
    assert "1.58 to 1.66, n = 10" in page.texts


def test_clips_are_worst_first_and_a_lost_file_is_said(page):
    images = [a["src"] for a in page.attributes if "src" in a]
    assert images == ["data:image/webp;base64,V09SU1Q=", "data:image/webp;base64,R09PRA=="]
    assert "gone.webp was not stored." in page.text


def test_the_scatter_marks_the_winner_and_its_members_alone(page):
    assert len(page.with_class("mark")) == 33 + 2
    assert len(page.with_class("chosen")) == 2 + 1


def test_every_check_of_the_winner_has_a_row_and_a_picture(page):
    for check in CHECKS:
        assert check.name in page.texts
    assert len(page.with_class("bar")) == 2 * len(CHECKS)


def test_evidence_and_environment_are_there(page):
    for text in ("steps skipped 11", "linears 48", "610.0 MiB", "2.13.0", TARGET.fingerprint):
        assert text in page.texts


def test_a_run_without_a_winner_says_why_each_stack_failed():
    page = Page(render_html(make_report(**REJECTED), {}))
    assert "Nothing accepted" in page.text
    assert page.text.index("95% lower bound 23.9") < page.text.index("Baseline, one video")
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


def test_an_empty_run_still_renders():
    empty = make_report(**REJECTED | {"stacks": (), "frontier": (), "agents": (), "memory": {}})
    page = Page(render_html(empty, {}))
    assert "No stack reached the gate." in page.text
    assert "No setting was measured" in page.text


def test_one_setting_alone_can_be_drawn():
    point = Point("cache", "easycache", "easycache", 1.0, 30.0, "kept")
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


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9, 1.9, (1.0, 1.2, 1.4, 1.6, 1.8)),
        (17.0, 62.0, (20.0, 30.0, 40.0, 50.0, 60.0)),
        (0.98, 1.02, (0.98, 0.99, 1.0, 1.01, 1.02)),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert find_ticks(low, high) == pytest.approx(expected)


def test_elements_escape_text_and_attributes_but_not_markup():
    made = element("p", "a < b", Markup("<b>c</b>"), None, title='"x"', class_="k", open=False)
    assert made == '<p title="&quot;x&quot;" class="k">a &lt; b<b>c</b></p>'
    assert join("&", made) == f"&amp;{made}"


def test_the_page_draws_what_changes_from_step_to_step():
    report = make_report(redundancy={"output": (0.2, 0.05, 0.1), "guidance": ()})
    page = render_html(report, {})
    assert page.count("<polyline") == 1
    assert "output: 5.0% to 20.0% over 3 steps" in page
    assert "not recorded" in render_html(make_report(), {})
