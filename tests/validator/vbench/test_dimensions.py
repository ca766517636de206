"""VBench's quality aggregate."""

from __future__ import annotations

import pytest

from sol.errors import UnknownNameError
from sol.validator.vbench.dimensions import DIMENSIONS, quality_total
from sol.validator.vbench.error import VBenchError

QUALITY = [dimension for dimension in DIMENSIONS.values() if dimension.is_quality]


def test_seven_dimensions_make_the_quality_score_and_weigh_six_and_a_half():
    assert len(QUALITY) == 7
    assert sum(dimension.weight for dimension in QUALITY) == 6.5


@pytest.mark.parametrize(("end", "total"), [("low", 0.0), ("high", 1.0)])
def test_the_ends_of_the_ranges_are_nought_and_one(end, total):
    assert quality_total({d.name: getattr(d, end) for d in QUALITY}) == pytest.approx(total)


def test_the_total_follows_vbenchs_formula():
    scores = {"temporal_flickering": 0.97, "dynamic_degree": 0.4}
    expected = ((0.97 - 0.6293) / (1 - 0.6293) + 0.5 * 0.4) / 1.5
    assert quality_total(scores) == pytest.approx(expected)


def test_what_is_no_quality_dimension_is_passed_over():
    alone = {"aesthetic_quality": 0.5}
    assert quality_total({**alone, "overall_consistency": 0.3}) == quality_total(alone)


@pytest.mark.parametrize("scores", [{}, {"overall_consistency": 0.3}], ids=("none", "semantic"))
def test_without_a_quality_dimension_there_is_no_total(scores):
    with pytest.raises(VBenchError):
        quality_total(scores)


def test_an_unknown_dimension_is_refused():
    with pytest.raises(UnknownNameError):
        quality_total({"human_action": 1.0})
