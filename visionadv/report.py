"""One page that shows a run: figures, curves against queries and against the distance, and the images side by side."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import PercentFormatter
from PIL import Image

from visionadv.distances import NORMS
from visionadv.page import ACCENT, OTHER, called, chart, figure_text, number, render
from visionadv.papers import printed_medians
from visionadv.summary import distance_at, median_curve

Record = dict[str, Any]  # an AttackRecord as a dictionary
Pictures = Callable[[Record], tuple[np.ndarray, np.ndarray]]  # original and adversarial, (C, H, W) from 0 to 1

_HEADLINES = {
    "success": ("Success", "of the images that aren't one as they are"),
    "robust": ("Robust accuracy", "of all images, what is still right after the attack"),
    "median_distance": ("Median distance", "a failure counts as farther than any success"),
    "queries": ("Queries", "images shown to the victim, mean"),
}
_FURTHER = {
    "clean": "Accuracy on the unchanged images",
    "confirmed": "Successes that a further look confirms",
    "median_queries": "Query of the first success, median",
    "gradients": "Gradients, mean",
    "l0": "L0 of the successes, mean",
    "l1": "L1 of the successes, mean",
    "l2": "L2 of the successes, mean",
    "linf": "L∞ of the successes, mean",
}
_RATES = {"success", "robust", "clean", "confirmed"}
_SIDE = 112  # pixels that an image is shown with, at least


def report(
    records: Sequence[Record],
    results: Mapping[str, Any],
    manifest: Mapping[str, Any],
    *,
    norm: str,
    pictures: Pictures | None = None,
    classes: Sequence[str] = (),
    max_cards: int = 100,
) -> str:
    """The HTML page of a run: self-contained, without scripts, the same for the same arguments.

    Args:
        records: `AttackRecord`s as dictionaries.
        results: each measure's value, low, high and n.
        manifest: what made the run; `config` of it is shown.
        norm: of the distance.
        pictures: the images of a record; none for what is no picture.
        classes: their names, by number.
        max_cards: so many images are shown, successes first, the nearest first.
    """
    config = manifest.get("config") or {}
    order = sorted(records, key=lambda one: (one["already"], not one["success"], one[norm], one["example_id"]))
    attacked = [record for record in records if not record["already"]]
    successes = sum(record["success"] for record in attacked)
    dataset, model, attack = (config.get(name) or "" for name in ("dataset_name", "model_name_or_path", "attack"))
    printed = printed_medians(dataset, model, attack, norm, config.get("goal") or "untargeted")
    reached, shown = _reached_svg(attacked, norm, printed)
    return render(
        "report.html.j2",
        manifest,
        title=f"{(config.get('attack') or 'attack').replace('_', ' ')} on {called(config.get('model_name_or_path'))}",
        lead=f"{successes:,} of {len(attacked):,} images are pushed to "
        + ("another class." if config.get("goal", "untargeted") == "untargeted" else "their target."),
        headlines=[
            {"name": name, "meaning": meaning, **figure_text(results.get(measure), rate=measure in _RATES)}
            for measure, (name, meaning) in _HEADLINES.items()
            if measure in results
        ],
        further=[
            {"name": name, **figure_text(results[measure], rate=measure in _RATES)}
            for measure, name in _FURTHER.items()
            if measure in results
        ],
        within=_within_svg(attacked, norm),
        reached=reached,
        shown=shown,
        success=_success_svg(attacked, config.get("report_distance")),
        distance=f"{NORMS[norm]} {config.get('report_distance')}",
        cards=[_card(record, norm, pictures, classes) for record in order[:max_cards]] if pictures else [],
        total=len(records),
        successes=successes,
        failures=len(attacked) - successes,
        already=len(records) - len(attacked),
    )


def _card(record: Record, norm: str, pictures: Pictures, classes: Sequence[str]) -> dict[str, Any]:
    """One image for the template: before, after, and the difference between them."""
    original, adversarial = pictures(record)
    difference = adversarial - original
    largest = float(np.abs(difference).max())
    magnified = 0.5 + difference * (0.5 / largest if largest else 0.0)

    def name_of(place: int | None) -> str:
        return "–" if place is None or place < 0 else classes[place] if place < len(classes) else str(place)

    status = "already" if record["already"] else "yes" if record["success"] else "no"
    return {
        "id": record["example_id"],
        "status": status,
        "images": [_png(one) for one in (original, adversarial, magnified)],
        "factor": number(0.5 / largest) if largest else "",
        "label": name_of(record["label"]),
        "clean": name_of(record["clean_class"]),
        "target": None if record["target"] is None else name_of(record["target"]),
        "found": name_of(record["adversarial_class"]),
        "distance": number(record[norm]),
        "norm": NORMS[norm],
        "queries": f"{record['queries']:,}",
    }


def _png(pixels: np.ndarray) -> str:
    """A picture (C, H, W) as a data address, enlarged by whole steps where it is small."""
    pixels = np.rint(255 * pixels.clip(0, 1)).astype(np.uint8)
    pixels = pixels[0] if len(pixels) == 1 else pixels[:3].transpose(1, 2, 0)
    factor = max(1, math.ceil(_SIDE / max(pixels.shape[:2])))
    picture = Image.fromarray(pixels)
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _within_svg(records: Sequence[Record], norm: str) -> Markup | None:
    """Success against the largest distance that counts."""
    distances = sorted(record[norm] for record in records if record["success"])
    if not distances:
        return None
    shares = np.arange(1, len(distances) + 1) / len(records)

    def draw(axes: Any) -> None:
        axes.step([0, *distances, 1.05 * distances[-1]], [0, *shares, shares[-1]], where="post", color=ACCENT)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel(f"{NORMS[norm]} distance")

    return chart(draw)


def _reached_svg(
    records: Sequence[Record], norm: str, printed: Sequence[tuple[int, float]]
) -> tuple[Markup | None, list[str]]:
    """The median distance that was reached against queries, and what else is drawn: of "unclipped" and "printed".

    Where most images have no success it is the share of those that have.
    """
    queries = _queries(records)
    if not queries:
        return None, []
    medians = median_curve(records, queries)
    if not math.isfinite(medians[-1]):
        return _success_svg(records, math.inf), []
    unclipped = any(record["unclipped_curve"] for record in records)
    shown = [name for name, there in (("unclipped", unclipped), ("printed", printed)) if there]

    def draw(axes: Any) -> None:
        axes.set_xscale("log")
        axes.plot(queries, _finite(medians), color=ACCENT)
        if unclipped:
            axes.plot(queries, _finite(median_curve(records, queries, "unclipped_curve")), "--", color=ACCENT)
        if printed:
            axes.plot(*zip(*printed, strict=True), "o", color=OTHER)
        axes.set_xlabel("queries")
        axes.set_ylabel(f"median {NORMS[norm]} distance")
        axes.set_ylim(bottom=0)

    return chart(draw), shown


def _success_svg(records: Sequence[Record], distance: float | None) -> Markup | None:
    """The share of images with a success within a distance, against queries."""
    queries = _queries(records)
    if distance is None or not queries:
        return None
    reached = np.array([[distance_at(record["curve"], number) for record in records] for number in queries])
    shares = ((reached <= distance) & np.isfinite(reached)).mean(1)

    def draw(axes: Any) -> None:
        axes.set_xscale("log")
        axes.plot(queries, shares, color=ACCENT)
        axes.set_xlabel("queries")
        axes.set_ylabel("success")
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))

    return chart(draw)


def _queries(records: Sequence[Record]) -> list[int]:
    """Numbers of queries along a logarithmic axis, up to the last that brought anything; none for a single one."""
    last = max((number for record in records for number, _ in record["curve"]), default=0)
    return np.unique(np.geomspace(1, last, 200).astype(int)).tolist() if last > 1 else []


def _finite(values: Sequence[float]) -> list[float]:
    """With gaps for what is infinite."""
    return [one if math.isfinite(one) else math.nan for one in values]
