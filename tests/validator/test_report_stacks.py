"""The page on stacks: what was predicted, the Pareto set, candidates, members and their pairs."""

import re
from dataclasses import replace

import pytest
from report_examples import (
    CONTRIBUTIONS,
    HOSTILE,
    NOTHING,
    REJECTED,
    STACKS,
    make_report,
)
from report_reading import Page

from sol.measure.stats import Interval
from sol.validator.report.contributions import show_contributions
from sol.validator.report.interactions import show_interactions
from sol.validator.report.model import Interaction, NotTried, SkillBound, TimeShare
from sol.validator.report.page import render_html
from sol.validator.report.predictions import show_predictions
from sol.validator.report.scatter import draw_frontier
from sol.validator.report.stack_table import show_stacks
from sol.validator.report.time_shares import show_time_shares

EMPTY = make_report(**REJECTED | NOTHING)


def read(section, **changes):
    return Page(str(section(make_report(**changes))))


def find_rows(page):
    """The text of each row of all tables, cell by cell."""
    return [[" ".join("".join(cell).split()) for cell in row] for row in page.rows]


def test_each_predicted_stack_is_a_dot_with_its_name():
    page = read(show_predictions)
    assert len(page.with_class("guess")) == 4 + 4
    assert f"easycache 0.02 + {HOSTILE}\npredicted 1.4x (1.3 to 1.5)" in page.text


def test_rank_correlation_and_median_errors_are_told():
    page = read(show_predictions)
    start = page.texts.index("Speed-up: rank correlation")
    assert page.texts[start + 1] == "0.80"
    assert page.texts[page.texts.index("Speed-up: median error") + 1] == "6.4%"
    assert page.texts[page.texts.index("PSNR: median error") + 1] == "0.75 dB"
    assert page.texts[page.texts.index("Measured inside of its interval") + 1] == "2 of 3"


@pytest.mark.parametrize("n", [1, 3])
def test_few_predicted_stacks_are_too_few_to_say(n):
    page = read(show_predictions, stacks=STACKS[:n], winner=None)
    assert page.texts.count("too few to say") == 4
    assert page.with_class("guess")


def test_a_setting_measured_alone_is_no_prediction():
    assert "No stack was measured" in read(show_predictions, stacks=STACKS[5:], winner=None).text


def test_the_diagonal_is_where_both_are_equal():
    exact = replace(STACKS[3], predicted_speedup=1.41, predicted_psnr=36.2)
    markup = str(show_predictions(make_report(stacks=(*STACKS[:2], exact))))
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', markup)
    x, y = (float(number) for number in dots[2])
    assert x - 64 == pytest.approx(316 - y, abs=0.11)


def test_the_pareto_line_goes_down_through_the_set():
    markup = str(draw_frontier(make_report()))
    assert markup.count("pareto-line") == 2
    path = re.search(r'd="(M[^"]*)" class="pareto-line"', markup).group(1)
    right = [float(number) for number in re.findall(r"H([\d.]+)", path)]
    down = [float(number) for number in re.findall(r"V([\d.]+)", path)]
    assert len(right) == 4
    assert right == sorted(right)
    assert down == sorted(down)


def test_without_stacks_there_is_no_pareto_line():
    assert "pareto-line" not in str(draw_frontier(make_report(stacks=(), winner=None)))


def test_a_setting_is_drawn_once():
    setting = replace(STACKS[5], label="compile")
    page = read(draw_frontier, stacks=(*STACKS[:2], setting))
    assert len(page.with_class("mark")) == 33 + 2


def test_the_pareto_set_is_marked_in_the_table():
    rows = {row[0]: row for row in find_rows(read(show_stacks))}
    assert [label for label, row in rows.items() if row[5] == "★ in the set"] == [
        "easycache 0.08 + int8_dynamic",
        "easycache 0.05 + int8_dynamic",
        f"easycache 0.02 + {HOSTILE}",
        "compile alone",
    ]
    assert rows["easycache 0.05 + int8_dynamic"][1:3] == [
        "1.6x (1.55 to 1.64, n = 5)",
        "1.7x (1.63 to 1.78)",
    ]
    assert rows["compile alone"][2] == "—"


def test_candidates_for_the_gate_are_told_the_fastest_first():
    page = read(show_stacks)
    told = [
        "rejected: psnr_floor: mean 25.4",
        "accepted, the recipe",
        "not sent: a bolder neighbour fell",
        "Close enough as well, but no faster than the recipe: 2 more.",
    ]
    places = [page.text.index(words) for words in told]
    assert places == sorted(places)
    assert "token_merge 0.5" not in page.text[: page.text.index("Measured, the fastest first")]


def test_a_faster_stack_that_was_not_sent_says_why():
    aside = replace(STACKS[3], speedup=Interval(1.7, 1.6, 1.8, 5), set_aside="31 dB, 35 dB needed")
    page = read(show_stacks, stacks=(*STACKS[:3], aside))
    assert "not sent: 31 dB, 35 dB needed" in page.text


def test_what_is_slower_than_the_baseline_is_no_candidate():
    slow = replace(STACKS[3], speedup=Interval(0.9, 0.8, 1.0, 5))
    page = read(show_stacks, stacks=(slow,), winner=None)
    assert "No measured stack was fit for the gate." in page.texts


def test_of_many_stacks_those_that_matter_are_not_folded():
    many = [replace(STACKS[2], label=f"stack {i}") for i in range(20)]
    page = read(show_stacks, stacks=(*STACKS, *many))
    assert page.texts.count("stack 7") == 1
    assert page.texts.index("All 26 measured stacks") < page.texts.index("stack 7")
    assert page.tags.count("details") == 1


def test_one_stack_that_was_not_fit_is_no_candidate():
    page = read(show_stacks, stacks=STACKS[2:3], winner=None)
    assert "No measured stack was fit for the gate." in page.texts
    assert HOSTILE in page.texts


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (show_predictions, "No stack was measured whose speed or quality had been predicted."),
        (show_stacks, "No stack was measured."),
    ],
)
def test_without_stacks_that_is_said(section, words):
    assert words in Page(str(section(EMPTY))).texts


@pytest.mark.parametrize("section", [show_interactions, show_time_shares])
def test_what_a_run_does_not_know_has_no_section(section):
    assert section(EMPTY) is None


def test_a_removed_member_says_why():
    rows = {row[0]: row for row in find_rows(Page(str(show_contributions(CONTRIBUTIONS))))}
    assert rows["token_merge"][-1] == "✗ removed what it adds cannot be told from nothing"
    assert rows["easycache"][1:4] == [
        "1.62x (1.58 to 1.66, n = 5)",
        "1.16x (1.14 to 1.18, n = 5)",
        "1.4x (1.36 to 1.44, n = 5)",
    ]
    assert rows["easycache"][-1] == "stays"


def test_contributions_are_shown_where_nothing_was_accepted():
    page = Page(render_html(make_report(**REJECTED | {"contributions": CONTRIBUTIONS}), {}))
    assert "What each member adds" in page.texts


def test_contributions_to_two_stacks_have_a_table_each():
    both = tuple(replace(c, stack=name) for name in ("first", HOSTILE) for c in CONTRIBUTIONS)
    page = Page(str(show_contributions(both)))
    assert page.tags.count("table") == 2
    assert HOSTILE in page.texts


def test_interactions_are_told_the_strongest_first():
    rows = find_rows(read(show_interactions))
    assert rows == [
        [f"easycache + {HOSTILE}", "0.860 (0.820 to 0.910) slower together", "-1.30 dB", "5"],
        ["compile + int8_dynamic", "1.012 (0.990 to 1.034)", "—", "3"],
    ]


@pytest.mark.parametrize(
    ("shift", "words"),
    [(0.2, "+0.20 dB"), (-1.26, "-1.26 dB"), (-0.0, "+0.00 dB"), (None, "—")],
)
def test_a_pair_that_gains_together_is_told_with_its_quality(shift, words):
    pair = Interaction("a", "b", 1.1, 1.05, 1.15, shift, 2)
    page = read(show_interactions, interactions=(pair,))
    assert "faster together" in page.texts
    assert words in page.texts


def test_time_is_told_the_longest_first_with_its_share():
    rows = find_rows(read(show_time_shares, bounds=(), not_tried=()))
    assert [row[:3] for row in rows] == [
        ["feed-forward", "0.7 s", "50.0%"],
        ["attention", "0.5 s", "35.7%"],
        [HOSTILE, "0.12 s", "8.6%"],
        ["text", "0.08 s", "5.7%"],
    ]


def test_bounds_stand_beside_what_was_reached():
    rows = find_rows(read(show_time_shares, time_shares=(), not_tried=()))
    assert [row[0] for row in rows] == ["cache", "kernel_fusion"]
    assert rows[1][1] == "1.3x"
    assert rows[1][-1] == "glue takes 23% of the time"


def test_a_skill_that_measured_nothing_reached_nothing():
    bound = SkillBound("upscaling", float("inf"), "all of it")
    page = read(show_time_shares, time_shares=(), not_tried=(), bounds=(bound,))
    assert find_rows(page)[0][1:3] == ["—", "—"]
    assert not page.with_class("whisker")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time_shares": (TimeShare("decode", 1.0),)}, "100.0%"),
        ({"bounds": (SkillBound("cache", 2.0, "why not"),)}, "why not"),
        ({"not_tried": (NotTried("sage", "needs CUDA"),)}, "needs CUDA"),
    ],
    ids=["time alone", "bounds alone", "not tried alone"],
)
def test_each_part_of_the_section_stands_alone(changes, words):
    empty = {"time_shares": (), "bounds": (), "not_tried": ()}
    assert words in read(show_time_shares, **empty | changes).texts


def test_an_interval_of_the_model_may_have_no_end():
    stack = replace(STACKS[0], predicted_low=0.0, predicted_high=float("inf"))
    page = read(show_predictions, stacks=(stack,), winner=None)
    assert "nan" not in page.text
    assert all("nan" not in str(value) for a in page.attributes for value in a.values())


def test_a_measured_interval_of_nothing_is_not_drawn_outside():
    wide = replace(STACKS[0], speedup=Interval(1.8, 0.01, 400.0, 2))
    page = read(show_predictions, stacks=(wide,), winner=None)
    lines = [a for a in page.attributes if "y1" in a and a.get("class") is None]
    assert lines
    assert all(16 <= float(a[key]) <= 316 for a in lines for key in ("y1", "y2"))
