"""What the figures of the defenses show: the numbers that they are given, each where it belongs."""

import numpy as np
import pytest

from visionadv.figures import (
    feature_maps,
    histogram,
    label_correlation,
    landscapes,
    norm_statistics,
    query_curves,
    radar,
    robustness_curves,
    sensitivity,
)


def points(line):
    return [tuple(map(float, one)) for one in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def estimate(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def test_curves_begin_at_clean_accuracy_and_know_their_judge():
    results = {
        "one": {"clean": estimate(0.9), "pgd@0.2": estimate(0.3), "pgd@0.1": estimate(0.6)},
        "two": {"clean": estimate(0.8), "pgd@0.1": estimate(0.5), "autoattack@0.1": estimate(0.4)},
    }
    first, second = robustness_curves(results, ["pgd", "autoattack"]).axes
    assert [(line.get_label(), points(line)) for line in first.lines] == [
        ("one", [(0, 0.9), (0.1, 0.6), (0.2, 0.3)]),
        ("two", [(0, 0.8), (0.1, 0.5)]),
    ]
    assert points(second.lines[1]) == [(0, 0.8), (0.1, 0.4)] and second.get_title() == "AutoAttack"
    band = first.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.2) and band[:, 1].max() == pytest.approx(1.0)


def test_what_the_paper_has_stands_beside_the_same_distance():
    """Crosses, and dashes for what they are of: distances before clipping."""
    curves = {
        "opt": {
            kind: {10: estimate(value), 20: estimate(value - 1)} for kind, value in (("median", 3), ("unclipped", 4))
        },
        "other": {"median": {10: estimate(2.0)}, "unclipped": {10: estimate(2.5)}},
    }
    [axes] = query_curves(curves, {"opt": [(10, 5.0)]}, norm="l2").axes
    assert [(line.get_linestyle(), points(line)) for line in axes.lines] == [
        ("-", [(10, 3), (20, 2)]),
        ("None", [(10, 5)]),
        ("--", [(10, 4), (20, 3)]),
        ("-", [(10, 2)]),
    ]
    assert axes.get_ylabel() == "median L2 distance"
    curves["opt"]["within"] = curves["other"]["within"] = {10: estimate(0.5)}
    assert query_curves(curves, {}, norm="l2", within=1.5).axes[1].get_ylabel() == "success within 1.5"


def test_a_radar_is_relative_to_the_best():
    values = {"one": {"clean": 0.8, "pgd": 0.1, "speed": 1.0}, "two": {"clean": 0.4, "pgd": 0.4, "speed": 0.5}}
    [axes] = radar(values).axes
    assert [line.get_label() for line in axes.lines] == ["one (0.75)", "two (0.67)"]
    assert np.allclose(axes.lines[0].get_ydata(), [1, 0.25, 1, 1]), "and back to the first"
    assert np.allclose(axes.lines[1].get_ydata(), [0.5, 1, 0.5, 0.5])


def test_lines_of_hyperparameters():
    values = {(0.1, 1.0): 0.5, (0.01, 1.0): 0.4, (0.01, 2.0): 0.3}
    first, second = sensitivity({"pgd": values, "autoattack": {(0.1, 1.0): 0.2}}, ("alpha", "a")).axes
    assert [(line.get_label(), points(line)) for line in first.lines] == [
        ("a = 1", [(0.01, 0.4), (0.1, 0.5)]),
        ("a = 2", [(0.01, 0.3)]),
    ]
    assert points(second.lines[0]) == [(0.1, 0.2)] and second.get_title() == "AutoAttack"


def test_before_and_after():
    before, after = {"gamma": np.array([1.0, 2.0]), "beta": np.zeros(2)}, {"gamma": np.ones(2), "beta": np.ones(2)}
    figure = norm_statistics(before, after)
    assert [axes.get_title() for axes in figure.axes] == ["gamma", "beta"]
    assert [(line.get_label(), list(line.get_ydata())) for line in figure.axes[0].lines] == [
        ("before", [1, 2]),
        ("after", [1, 1]),
    ]
    maps = {"before": np.arange(12.0).reshape(3, 2, 2), "after": np.ones((2, 2, 2))}
    figure = feature_maps(maps)
    shown = [axes.images[0] for axes in figure.axes]
    assert len(shown) == 4 and all(one.get_clim() == (0, 7) for one in shown), "two of each, on one scale"
    assert np.array_equal(shown[1].get_array(), maps["before"][1]) and np.array_equal(
        shown[2].get_array(), np.ones((2, 2))
    )
    assert figure.axes[0].get_title(loc="left") == "before" and figure.axes[2].get_title(loc="left") == "after"


def test_products_of_beta():
    [axes, _] = label_correlation(np.array([1.0, 2.0, 4.0]), "abc").axes
    shown = axes.images[0].get_array().filled(0)
    assert np.array_equal(shown, [[0, 2, 4], [2, 0, 8], [4, 8, 0]]), "pairs of different classes"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]


def test_surfaces_have_one_scale():
    grids = {"one": np.arange(9.0).reshape(3, 3), "two": np.ones((3, 3))}
    figure = landscapes(grids, 0.5)
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    assert all(axes.get_zlim()[1] == pytest.approx(8, rel=0.1) for axes in figure.axes)
    assert len(figure.axes[0].collections) == 1


def test_a_histogram_holds_every_image():
    [axes] = histogram(np.array([0.0, 0.1, 0.1, 0.2]), 0.2).axes
    assert [bar.get_height() for bar in axes.patches if bar.get_height()] == [1, 2, 1]
