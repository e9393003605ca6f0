"""The pictures of chapters 2 and 4 to 6 of Cheng's dissertation, of arrays and results by the name of a net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from visionadv.distances import NORMS
from visionadv.evaluation import NAMES

Array = np.ndarray
Estimate = Mapping[str, float]


def robustness_curves(results: Mapping[str, Mapping[str, Any]], judges: Sequence[str]) -> Figure:
    """Robust accuracy against the distance, a panel for each judge: Figures 5.2, 5.3, 5.9b.

    Args:
        results: results.json of `evaluate_robustness.py`, by the name of a net.
        judges: such as "pgd" and "autoattack".
    """
    figure = Figure(figsize=(4.6 * len(judges), 3.4), layout="constrained")
    for axes, judge in zip(figure.subplots(1, len(judges), squeeze=False)[0], judges, strict=True):
        for name, measures in results.items():
            told = {float(one.partition("@")[2]): measures[one] for one in measures if one.startswith(f"{judge}@")}
            places = sorted({0.0: measures["clean"], **told}.items())
            low, value, high = (np.array([one[key] for _, one in places]) for key in ("low", "value", "high"))
            distances = [distance for distance, _ in places]
            [line] = axes.plot(distances, value, "o-", label=name)
            axes.fill_between(distances, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
        axes.set_title(NAMES.get(judge, judge))
        axes.set_xlabel("distance")
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(True, linewidth=0.4)
    figure.axes[0].set_ylabel("images that are classified rightly")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure


def query_curves(
    curves: Mapping[str, Mapping[str, Mapping[int, Estimate]]],
    printed: Mapping[str, Sequence[tuple[int, float]]],
    *,
    norm: str | None = None,
    within: float | None = None,
) -> Figure:
    """What attacks reach against queries: the median distance, and success within one: Figures 2.5 to 2.8.

    Args:
        curves: by the name of an attack estimates by the number of queries, of "median" and perhaps "within"; of
            "unclipped" the medians are drawn, too, dashed, where the paper's are crosses, which are such.
        printed: by the name of an attack what the paper has, (queries, median distance).
        norm: of the distances.
        within: the distance of "within".
    """
    named = f"{NORMS[norm]} distance" if norm else "distance"
    limit = "the distance" if within is None else f"{within:g}"
    shared = [kind for kind in ("median", "within") if all(kind in one for one in curves.values())]
    figure = Figure(figsize=(4.6 * len(shared) + 1.8, 3.4), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(shared), squeeze=False)[0], shared, strict=True):
        for name, measures in curves.items():
            told = sorted((number, one) for number, one in measures[kind].items() if one["value"] is not None)
            low, value, high = (
                np.array([np.nan if one[key] is None else one[key] for _, one in told], dtype=float)
                for key in ("low", "value", "high")
            )
            queries = [number for number, _ in told]
            few = len(told) <= 10
            [line] = axes.plot(queries, value, "o-" if few else "-", markersize=4, label=name.replace("_", " "))
            axes.fill_between(queries, low, high, alpha=0.12, color=line.get_color(), linewidth=0)
            if kind == "median" and name in printed:
                axes.plot(*zip(*printed[name], strict=True), "x", color=line.get_color())
                unclipped = sorted(measures.get("unclipped", {}).items())
                if dashes := [(number, one["value"]) for number, one in unclipped if one["value"] is not None]:
                    axes.plot(*zip(*dashes, strict=True), "--", linewidth=1, color=line.get_color())
        axes.set_xlabel("queries")
        axes.grid(True, linewidth=0.4)
        if kind == "within":
            axes.set_ylabel(f"success within {limit}")
            axes.set_ylim(0, 1)
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        else:
            axes.set_ylabel(f"median {named}")
            axes.set_ylim(bottom=0)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure


def landscapes(grids: Mapping[str, Array], extent: float) -> Figure:
    """Surfaces of the loss (P, P) around images, on one scale: Figures 4.2 and 5.4."""
    figure = Figure(figsize=(3.6 * len(grids), 3.6), layout="constrained")
    top = max(grid.max() for grid in grids.values())
    for number, (name, grid) in enumerate(grids.items(), start=1):
        axes: Any = figure.add_subplot(1, len(grids), number, projection="3d")
        steps = np.linspace(-extent, extent, len(grid))
        axes.plot_surface(*np.meshgrid(steps, steps, indexing="ij"), grid, cmap="viridis", vmin=0, vmax=top)
        axes.set_zlim(0, top)
        axes.set_box_aspect(None, zoom=0.8)  # or the labels are cut off
        axes.set_title(name, y=0.95)
        axes.set_xlabel("gradient's sign", labelpad=7)
        axes.set_ylabel("random signs", labelpad=7)
    return figure


def label_correlation(beta: Array, classes: Sequence[str]) -> Figure:
    """The products of SPROUT's beta (K,), pair by pair: Figure 5.8, as (5.7) has them in the covariance of labels."""
    figure = Figure(figsize=(4.6, 4.0), layout="constrained")
    axes = figure.subplots()
    products = np.outer(beta, beta)
    np.fill_diagonal(products, np.nan)
    image = axes.imshow(products, cmap="viridis")
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    figure.colorbar(image, label="beta_s beta_t")
    return figure


def radar(values: Mapping[str, Mapping[str, float]]) -> Figure:
    """Several properties of several nets, each relative to the best net's: Figure 5.1."""
    names = list(next(iter(values.values())))
    best = {name: max(one[name] for one in values.values()) or 1.0 for name in names}
    angles = np.linspace(0, 2 * np.pi, len(names), endpoint=False)
    figure = Figure(figsize=(6.2, 4.0), layout="constrained")
    axes: Any = figure.add_subplot(projection="polar")
    for net, one in values.items():
        shares = [one[name] / best[name] for name in names]
        axes.plot([*angles, angles[0]], [*shares, shares[0]], "o-", label=f"{net} ({np.mean(shares):.2f})")
    told = [name.partition("@") for name in names]
    axes.set_xticks(angles, [f"{NAMES.get(name, name)}\nwithin {eps}" if eps else name for name, _, eps in told])
    for label, side in zip(axes.get_xticklabels(), np.cos(angles), strict=True):
        label.set_horizontalalignment("center" if abs(side) < 0.4 else "left" if side > 0 else "right")
    axes.set_ylim(0, 1.05)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def sensitivity(measures: Mapping[str, Mapping[tuple[float, float], float]], names: tuple[str, str]) -> Figure:
    """Measures, a panel for each, against one hyperparameter, a line for each value of another: Figure 5.9a."""
    figure = Figure(figsize=(4.6 * len(measures), 3.4), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, (measure, values) in zip(panels, measures.items(), strict=True):
        for second in sorted({pair[1] for pair in values}):
            points = sorted((first, value) for (first, other), value in values.items() if other == second)
            axes.plot(*zip(*points, strict=True), "o-", label=f"{names[1]} = {second:g}")
        axes.set_title(NAMES.get(measure, measure))
        axes.set_xlabel(names[0])
        axes.set_xscale("log")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(True, linewidth=0.4)
    panels[0].legend(frameon=False)
    return figure


def norm_statistics(before: Mapping[str, Array], after: Mapping[str, Array]) -> Figure:
    """What a layer of batch normalisation has (C,), before and after it was fine-tuned: Figure 6.1."""
    figure = Figure(figsize=(4.2 * len(before), 2.8), layout="constrained")
    for axes, (name, values) in zip(figure.subplots(1, len(before), squeeze=False)[0], before.items(), strict=True):
        axes.plot(values, "o-", markersize=3, label="before")
        axes.plot(after[name], "x-", markersize=4, label="after")
        axes.set_title(name)
        axes.set_xlabel("channel")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(True, linewidth=0.4)
    figure.axes[0].legend(frameon=False)
    return figure


def feature_maps(maps: Mapping[str, Array], most: int = 32) -> Figure:
    """What comes out of a layer (C, H, W) for one image, a row of maps for each net, on one scale: Figure 6.2."""
    count = min(most, *(len(one) for one in maps.values()))
    top = max(float(one[:count].max()) for one in maps.values()) or 1.0
    figure = Figure(figsize=(0.6 * count, 0.85 * len(maps)), layout="constrained")
    grid = figure.subplots(len(maps), count, squeeze=False)
    for row, (name, one) in zip(grid, maps.items(), strict=True):
        for axes, values in zip(row, one, strict=False):
            axes.imshow(values, cmap="gray", vmin=0, vmax=top)
            axes.set_axis_off()
        row[0].set_title(name, loc="left", fontsize=8)
    return figure


def histogram(values: Array, largest: float) -> Figure:
    """How many images have which distance of CAT's."""
    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.hist(values, bins=40, range=(0, largest))
    axes.set_xlabel("distance of a training image")
    axes.set_ylabel("images")
    return figure
