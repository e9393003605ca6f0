"""Intervals against their formulas, and what has none."""

import math

import pytest
from _estimates import estimate, estimates


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (5, 5), (1, 1), (37, 42), (894, 1000)])
def test_estimate_of_booleans_is_wilson_s(successes, n):
    """(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z = 1.959964, the normal 97.5 % quantile."""
    z, p = 1.959963984540054, successes / n
    centre, scale = p + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = {"value": p, "low": (centre - half) / scale, "high": (centre + half) / scale, "n": n}
    assert estimate([True] * successes + [False] * (n - successes)) == pytest.approx(expected, abs=1e-12)


def test_estimate_of_numbers_is_student_s():
    """1 to 5: mean 3, variance 10/4 = 2.5, standard error √(2.5/5) = 0.707107; t(0.975; 4) = 2.776445."""
    half = 2.776445105 * 0.7071067812
    expected = {"value": 3.0, "low": 3 - half, "high": 3 + half, "n": 5}
    assert estimate([5.0, 1.0, 4.0, 2.0, 3.0]) == pytest.approx(expected, abs=1e-8)
    # 0 and 1 as numbers: mean 1/2, standard error 1/2; t(0.975; 1) = tan(0.475 π) = 12.706205
    assert estimate([0.0, 1])["high"] == pytest.approx(0.5 + 0.5 * math.tan(0.475 * math.pi), abs=1e-8)


@pytest.mark.parametrize("values", [[2.5], [2.5, 2.5, 2.5]])
def test_estimate_without_spread(values):
    assert estimate(values) == {"value": 2.5, "low": 2.5, "high": 2.5, "n": len(values)}


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, math.inf]])
def test_estimate_of_the_undefined(values):
    assert estimate(values) == {"value": None, "low": None, "high": None, "n": len(values)}


def test_estimates_by_name():
    ready = {"value": 2.0, "low": None, "high": None, "n": 3}
    assert estimates({"ready": ready, "rate": [True, False]}) == {"ready": ready, "rate": estimate([True, False])}
