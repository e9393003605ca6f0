"""What the pages of the package have in common: their frame, figures as text, small charts."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

# Colours that stand for variables of the page's style sheet, so that curves follow dark mode.
INKS = {"#010101": "var(--accent)", "#020202": "var(--muted)", "#030303": "var(--line)", "#040404": "var(--other)"}
ACCENT, MUTED, LINE, OTHER = INKS


def render(template: str, manifest: Mapping[str, Any], **values: Any) -> str:
    """A page: self-contained, without scripts, everything escaped.

    Args:
        template: a file beside this one; all of them have a `title` and a `lead`.
        manifest: what made the run; it is told in the page's facts and at its foot.
    """
    loader = FunctionLoader(lambda name: files("visionadv").joinpath(name).read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    config = manifest.get("config") or {}
    return environment.get_template(template).render(
        facts=[f"{name} {manifest[name]}" for name in ("seed", "device", "precision") if name in manifest],
        entries={name: one for name, one in config.items() if one is not None} | (manifest.get("versions") or {}),
        **values,
    )


def called(model: str | None) -> str:
    """A Hub id as it is, a local path by its last folder."""
    if model is None:
        return "the embedded CNN"
    return Path(model).name if Path(model).exists() or model.count("/") > 1 else model


def figure_text(result: Mapping[str, Any] | None, *, rate: bool) -> dict[str, str]:
    """A measure as text: `value` and `interval`."""
    result = result or {}
    scale, unit = (100, " %") if rate else (1, "")
    value, low, high = (
        "–" if result.get(key) is None else number(scale * result[key], rate) for key in ("value", "low", "high")
    )
    interval = "" if "–" in (low, high) else f"{low} to {high}{unit}"
    return {"value": value if value == "–" else value + unit, "interval": interval}


def number(value: float, rate: bool = False) -> str:
    """Three digits that matter, or one behind the point for a rate."""
    return f"{value:.1f}" if rate else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def chart(draw: Callable[[Any], None]) -> Markup:
    """A small chart as SVG whose colours are those of the page."""
    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "visionadv",
        "font.family": "sans-serif",
        "font.size": 11,
    }
    style |= {name: MUTED for name in ("axes.labelcolor", "xtick.color", "ytick.color", "text.color")}
    style |= {"axes.edgecolor": LINE, "grid.color": LINE}
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
    for ink, variable in INKS.items():
        text = text.replace(ink, variable)
    return Markup(text)
