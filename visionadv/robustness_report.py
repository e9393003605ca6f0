"""The page of an evaluation: what every judge says, accuracy against the distance, a verdict on masked gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import PercentFormatter

from visionadv.evaluation import NAMES, called_measure, judge_of
from visionadv.masking import THRESHOLD, Sign, signs, verdict
from visionadv.page import ACCENT, MUTED, OTHER, called, chart, figure_text, render

DRAWN = {"pgd": ACCENT, "autoattack": OTHER, "square": MUTED}  # of the curve, and their colours


def robustness_report(
    records: Sequence[dict[str, Any]],
    results: Mapping[str, Any],
    manifest: Mapping[str, Any],
    *,
    distances: Sequence[float] = (),
) -> str:
    """The HTML page.

    Args:
        records: `RobustnessRecord`s as dictionaries; results: of `evaluation_measures`.
        distances: those that verdicts on masked gradients are given for.
    """
    config = manifest.get("config") or {}
    rows = [
        {"name": called_measure(name), **figure_text(results[name], rate=True)}
        for name in results
        if judge_of(name) in NAMES
    ]
    clean = figure_text(results.get("clean"), rate=True)["value"]
    lead = f"{clean} of the unchanged images are classified rightly." if "clean" in results else ""
    worst = [name for name in results if judge_of(name) == "worst"]
    if worst:
        left = figure_text(results[worst[-1]], rate=True)["value"]
        lead += f" No attack within {worst[-1].partition('@')[2]} (L∞) moves {left}."
    return render(
        "robustness.html.j2",
        manifest,
        title=f"Robustness of {called(config.get('model_name_or_path'))}",
        lead=lead.strip(),
        verdicts=[_verdict(signs(records, eps), eps) for eps in distances],
        rows=rows,
        curve=_curve(results),
    )


def _verdict(found: Sequence[Sign], eps: float) -> dict[str, Any]:
    """The signs within a distance, for the template."""
    told = [
        {
            "words": sign.words,
            "interval": f"{sign.low:.1%} to {sign.high:.1%}",
            "threshold": f"{THRESHOLD:.0%}",
            "fires": sign.fires,
            "judged": sign.judged,
        }
        for sign in found
    ]
    return {"eps": f"{eps:g}", "text": verdict(found), "signs": told}


def _curve(results: Mapping[str, Any]) -> Markup | None:
    """Robust accuracy against the distance."""
    points = {
        name: [(float(one.partition("@")[2]), results[one]["value"]) for one in results if judge_of(one) == name]
        for name in DRAWN
    }
    start = [(0.0, results["clean"]["value"])] if "clean" in results else []
    if not any(points.values()):
        return None

    def draw(axes: Any) -> None:
        for name, colour in DRAWN.items():
            if points[name]:
                axes.plot(*zip(*sorted([*start, *points[name]]), strict=True), "o-", color=colour, label=NAMES[name])
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel("L∞ distance")
        axes.legend(frameon=False)

    return chart(draw)
