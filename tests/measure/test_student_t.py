import math

import pytest

from sol.measure.student_t import t_quantile


# Two-digit-exact published table, e.g. NIST/SEMATECH e-Handbook 1.3.6.7.2.
@pytest.mark.parametrize(
    ("probability", "dof", "expected"),
    [
        (0.95, 1, 6.314),
        (0.95, 2, 2.920),
        (0.95, 3, 2.353),
        (0.95, 4, 2.132),
        (0.95, 11, 1.796),
        (0.95, 100, 1.660),
        (0.975, 10, 2.228),
        (0.975, 1, 12.706),
        (0.995, 5, 4.032),
        (0.999, 7, 4.785),
        (0.90, 30, 1.310),
    ],
)
def test_matches_the_published_table(probability, dof, expected):
    assert t_quantile(probability, dof) == pytest.approx(expected, abs=5e-4)


def test_is_symmetric_and_zero_in_the_middle():
    assert t_quantile(0.05, 6) == pytest.approx(-t_quantile(0.95, 6))
    assert t_quantile(0.5, 6) == pytest.approx(0.0, abs=1e-12)


def test_approaches_the_normal_quantile():
    assert t_quantile(0.95, 5000) == pytest.approx(1.644854, abs=5e-4)


@pytest.mark.parametrize(("probability", "dof"), [(0.0, 3), (1.0, 3), (math.nan, 3), (0.9, 0)])
def test_refuses_what_has_no_quantile(probability, dof):
    with pytest.raises(ValueError, match="must be"):
        t_quantile(probability, dof)
