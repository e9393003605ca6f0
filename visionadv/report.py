"""One page that shows a run: figures, curves against queries and against the distance, and the images side by side."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from PIL import Image

from visionadv.papers import printed_medians
from visionadv.summary import distance_at, median_curve

Record = dict[str, Any]  # an AttackRecord as a dictionary
Pictures = Callable[[Record], tuple[np.ndarray, np.ndarray]]  # original and adversarial, (C, H, W) from 0 to 1

_NORMS = {"l0": "L0", "l1": "L1", "l2": "L2", "linf": "L∞"}
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

# Colours that stand for variables of the page's style sheet, so that curves follow dark mode.
_INKS = {"#010101": "var(--accent)", "#020202": "var(--muted)", "#030303": "var(--line)", "#040404": "var(--other)"}
_ACCENT, _MUTED, _LINE, _OTHER = _INKS


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
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("visionadv").joinpath("report.html.j2").read_text(encoding="utf-8"))
    printed = printed_medians(
        config.get("dataset_name") or "", config.get("attack") or "", norm, config.get("goal") or "untargeted"
    )
    return template.render(
        title=f"{(config.get('attack') or 'attack').replace('_', ' ')} on {_name(config.get('model_name_or_path'))}",
        lead=f"{successes:,} of {len(attacked):,} images are pushed to "
        + ("another class." if config.get("goal", "untargeted") == "untargeted" else "their target."),
        facts=[f"{name} {manifest[name]}" for name in ("seed", "device", "precision") if name in manifest],
        headlines=[
            {"name": name, "meaning": meaning, **_figure(measure, results.get(measure))}
            for measure, (name, meaning) in _HEADLINES.items()
            if measure in results
        ],
        further=[
            {"name": name, **_figure(measure, results[measure])}
            for measure, name in _FURTHER.items()
            if measure in results
        ],
        within=_within_svg(attacked, norm),
        reached=_reached_svg(attacked, norm, printed),
        printed=bool(printed),
        cards=[_card(record, norm, pictures, classes) for record in order[:max_cards]] if pictures else [],
        total=len(records),
        successes=successes,
        failures=len(attacked) - successes,
        already=len(records) - len(attacked),
        entries={name: value for name, value in config.items() if value is not None} | (manifest.get("versions") or {}),
    )


def _name(model: str | None) -> str:
    """A Hub id as it is, a local path by its last folder."""
    if model is None:
        return "the embedded CNN"
    return Path(model).name if Path(model).exists() or model.count("/") > 1 else model


def _figure(measure: str, result: Mapping[str, Any] | None) -> dict[str, str]:
    """A measure as text."""
    result = result or {}
    scale, unit = (100, " %") if measure in _RATES else (1, "")
    value, low, high = (
        "–" if result.get(key) is None else _number(scale * result[key], bool(unit)) for key in ("value", "low", "high")
    )
    interval = "" if "–" in (low, high) else f"{low} to {high}{unit}"
    return {"value": value if value == "–" else value + unit, "interval": interval}


def _number(value: float, rate: bool = False) -> str:
    """Three digits that matter, or one behind the point for a rate."""
    return f"{value:.1f}" if rate else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _card(record: Record, norm: str, pictures: Pictures, classes: Sequence[str]) -> dict[str, Any]:
    """One image for the template: before, after, and the difference between them."""
    original, adversarial = pictures(record)
    difference = adversarial - original
    largest = float(np.abs(difference).max())
    magnified = 0.5 + difference * (0.5 / largest if largest else 0.0)

    def called(number: int | None) -> str:
        return "–" if number is None or number < 0 else classes[number] if number < len(classes) else str(number)

    status = "already" if record["already"] else "yes" if record["success"] else "no"
    return {
        "id": record["example_id"],
        "status": status,
        "images": [_png(one) for one in (original, adversarial, magnified)],
        "factor": _number(0.5 / largest) if largest else "",
        "label": called(record["label"]),
        "clean": called(record["clean_class"]),
        "target": None if record["target"] is None else called(record["target"]),
        "found": called(record["adversarial_class"]),
        "distance": _number(record[norm]),
        "norm": _NORMS[norm],
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
        axes.step([0, *distances, 1.05 * distances[-1]], [0, *shares, shares[-1]], where="post", color=_ACCENT)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel(f"{_NORMS[norm]} distance")

    return _svg(draw)


def _reached_svg(records: Sequence[Record], norm: str, printed: Sequence[tuple[int, float]]) -> Markup | None:
    """The median distance that was reached against queries, or success where most images have none."""
    last = max((number for record in records for number, _ in record["curve"]), default=0)
    if last < 2:
        return None
    queries = np.unique(np.geomspace(1, last, 200).astype(int)).tolist()
    medians = median_curve(records, queries)
    shares = [np.mean([distance_at(record["curve"], number) < math.inf for record in records]) for number in queries]

    def draw(axes: Any) -> None:
        axes.set_xlabel("queries")
        axes.set_xscale("log")
        if math.isfinite(medians[-1]):
            axes.plot(queries, [one if math.isfinite(one) else math.nan for one in medians], color=_ACCENT)
            axes.set_ylabel(f"median {_NORMS[norm]} distance")
            if printed:
                axes.plot(*zip(*printed, strict=True), "o", color=_OTHER)
            axes.set_ylim(bottom=0)
        else:
            axes.plot(queries, shares, color=_ACCENT)
            axes.set_ylabel("success")
            axes.yaxis.set_major_formatter(PercentFormatter(1))

    return _svg(draw)


def _svg(draw: Callable[[Any], None]) -> Markup:
    """A small chart as SVG whose colours are those of the page."""
    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "visionadv",
        "font.family": "sans-serif",
        "font.size": 11,
    }
    style |= {name: _MUTED for name in ("axes.labelcolor", "xtick.color", "ytick.color", "text.color")}
    style |= {"axes.edgecolor": _LINE, "grid.color": _LINE}
    with rc_context(style):
        figure = Figure(figsize=(5.2, 3.0), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.grid(True, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for ink, variable in _INKS.items():
        text = text.replace(ink, variable)
    return Markup(text)
