"""Two runs on the same sentences, against means by hand, exact intervals and limit cases."""

import numpy as np
import pytest
from scipy import stats

from textadv.comparison import comparison
from textadv.configs import BadInput


def record(i: int, success: bool, words: int = 1, queries: int = 10, **more) -> dict:
    found = {"example_id": i, "original": f"s{i}", "keywords": [], "clean_output": f"o{i}", "skipped": None}
    return found | {"success": success, "changed_words": words, "queries": queries} | more


def test_the_values_are_those_of_the_sentences():
    one = [record(0, True, 1, 4), record(1, True, 2, 4), record(2, True, 6, 4), record(3, False, 9, 8)]
    other = [record(0, True, 2), record(1, True, 4), record(2, False, 3), record(3, False, 3)]
    skipped = record(4, False, skipped="empty")
    found = comparison([*one, skipped], [*other, skipped])
    values = {name: measure["value"] for name, measure in found.items()}
    assert values == {
        "success": 0.75,
        "other_success": 0.5,
        "success_difference": 0.25,
        "success_ratio": 1.5,
        "changed_words": 1.5,
        "other_changed_words": 3.0,
        "changed_words_ratio": 0.5,
        "queries_ratio": 0.5,
    }
    assert found["success"]["n"] == 4 and found["changed_words"]["n"] == 2
    within = comparison(one, other, max_words=3)
    assert within["success"]["value"] == 0.5 and within["other_success"]["value"] == 0.25
    assert within["changed_words_ratio"]["value"] == 0.5 and within["changed_words_ratio"]["n"] == 1


def test_the_interval_of_a_difference_is_that_of_pairs():
    """About the normal one of paired differences, and much shorter than that of two independent rates."""
    generator = np.random.default_rng(1)
    base = generator.random(400)
    a, b = base < 0.6, base + 0.05 * generator.standard_normal(400) < 0.5
    one, other = ([record(i, bool(hit)) for i, hit in enumerate(hits)] for hits in (a, b))
    found = comparison(one, other)["success_difference"]
    difference = a.astype(float) - b
    low, high = stats.norm.interval(0.95, difference.mean(), stats.sem(difference))
    assert found["value"] == pytest.approx(difference.mean())
    assert found["low"] == pytest.approx(low, abs=0.005) and found["high"] == pytest.approx(high, abs=0.005)
    independent = 2 * 1.96 * np.sqrt((a.var() + b.var()) / 400)
    assert found["high"] - found["low"] < 0.8 * independent
    assert comparison(one, other)["success_difference"] == found  # the same each time


def test_a_rate_has_the_binomials_quantiles():
    one = [record(i, i < 30) for i in range(100)]
    found = comparison(one, one)
    low, high = stats.binom(100, 0.3).ppf([0.025, 0.975]) / 100
    assert found["success"]["low"] == pytest.approx(low, abs=0.011)
    assert found["success"]["high"] == pytest.approx(high, abs=0.011)
    for name, value in (("success_difference", 0), ("success_ratio", 1), ("changed_words_ratio", 1)):
        assert all(found[name][key] == value for key in ("value", "low", "high"))


def test_what_is_not_defined_is_none():
    one, other = [record(i, i == 0) for i in range(9)], [record(i, False) for i in range(9)]
    found = comparison(one, other)
    for name in ("success_ratio", "changed_words", "changed_words_ratio"):
        assert [found[name][key] for key in ("value", "low", "high")] == [None] * 3
    assert found["changed_words"]["n"] == 0 and found["success_difference"]["value"] == pytest.approx(1 / 9)
    reverse = comparison([record(i, True) for i in range(9)], one)["success_ratio"]
    assert reverse["value"] == 9 and reverse["high"] is None  # some draws hold no success of the other


@pytest.mark.parametrize("change", [{"original": "x"}, {"keywords": ["x"]}, {"clean_output": "x"}, {"example_id": 7}])
def test_other_sentences_are_refused(change):
    one = [record(0, True), record(1, True)]
    for other in ([one[0], one[1] | change], one[:1]):
        with pytest.raises(BadInput, match="not runs on the same sentences"):
            comparison(one, other)


def test_nothing_that_counts_is_refused():
    with pytest.raises(BadInput, match="zero samples"):
        comparison([record(0, False, skipped="empty")], [record(0, True)])
