"""Intervals against their formulas, and what has none."""

import math
import random
from statistics import fmean, variance

import pytest
from _estimates import estimate, estimate_auc, estimates


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


def test_the_area_under_a_roc_curve_is_that_of_all_pairs():
    """DeLong's variance: of the shares of pairs that each example wins, over their numbers."""
    generator = random.Random(0)
    labels = [generator.random() < 0.4 for _ in range(40)]
    scores = [round(generator.random() + 0.5 * label, 1) for label in labels]  # with ties
    hits, misses = ([s for s, label in zip(scores, labels, strict=True) if label == which] for which in (True, False))
    pairs = [[(one > other) + 0.5 * (one == other) for other in misses] for one in hits]
    wins, losses = [fmean(row) for row in pairs], [fmean(column) for column in zip(*pairs, strict=True)]
    half = 1.959963984540054 * math.sqrt(variance(wins) / len(wins) + variance(losses) / len(losses))
    value = fmean(wins)
    expected = {"value": value, "low": value - half, "high": min(1.0, value + half), "n": 40}
    assert estimate_auc([int(one) for one in labels], scores) == pytest.approx(expected, abs=1e-12)
    assert estimate_auc([1, 1], [0.1, 0.2])["value"] is None
