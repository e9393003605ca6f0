"""One page that shows a run: headline figures, the curve of success, the words that it takes, every sentence."""

import io
import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.stats import binomtest

from textadv.words import (
    changed_positions,
    contains_words,
    overlapping_positions,
    spaced_words,
    split_words,
)

Record = dict[str, Any]  # an AttackRecord as a dictionary

_GOALS = {
    "non_overlapping": "an output that keeps no word of the clean output in its place",
    "keywords": "an output that contains the given keywords",
}
_HEADLINES = [  # measure, name, what it means under each goal
    (
        "success",
        "Success",
        {"non_overlapping": "no word keeps its place", "keywords": "every keyword is said"},
    ),
    ("success_disjoint", "Disjoint", "the outputs share no word"),
    ("success_half_bleu", "Half BLEU", "at most half of the clean output is left"),
    ("changed_words", "Changed words", "mean over the successes"),
]
_FURTHER = {
    "input_bleu": "BLEU of the source, successes",
    "output_bleu": "BLEU of the output",
    "original_perplexity": "Perplexity of the originals, successes",
    "adversarial_perplexity": "Perplexity of the adversarial sentences",
    "perplexity_ratio": "Perplexity, adversarial over original",
    "sentiment_agreement": "Successes that keep the sentiment of the original",
    "search_success": "Success claimed by the search",
    "queries": "Queries per sentence",
    "skipped": "Skipped",
}
_RATES = {"success", "success_disjoint", "success_half_bleu", "search_success", "skipped", "sentiment_agreement"}

_MANY = 10  # so many changed words, or more, are one group of sentences

# Colours that stand for variables of the page's style sheet, so that the curve follows dark mode.
_INKS = {
    "#010101": "var(--accent)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--ink)",
}
_ACCENT, _MUTED, _LINE, _INK = _INKS


def report(
    records: Sequence[Record],
    results: Mapping[str, Any],
    manifest: Mapping[str, Any],
    *,
    max_cards: int = 500,
    max_rows: int = 10,
) -> str:
    """The HTML page of a run: self-contained, without scripts, the same for the same arguments.

    `records` are `AttackRecord`s as dictionaries; `results` maps a measure to its value, low, high and n, and
    `seconds` and `examples_per_second` to numbers; `manifest` may hold command, config, device, git_hash,
    precision, seed and versions. Figures and manifest entries that are missing are left out. At most
    `max_cards` sentences are shown, successes with the fewest changed words first, and `max_rows` of the words
    most often changed and written. Everything that comes from a model or a data set is escaped.
    """
    config = manifest.get("config") or {}
    goal = config.get("goal") or ("keywords" if any(r["keywords"] for r in records) else "non_overlapping")
    groups = {
        "success": sorted(filter(_succeeded, records), key=lambda r: (r["changed_words"], r["example_id"])),
        "failed": [r for r in records if r["skipped"] is None and not r["success"]],
        "skipped": [r for r in records if r["skipped"] is not None],
    }
    shown = dict(zip(groups, _shares([len(group) for group in groups.values()], max_cards), strict=True))
    cards = [_card(r, status) for status, group in groups.items() for r in group[: shown[status]]]
    changed, written = picked_words(records)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("textadv").joinpath("report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        attack=config["baseline"].replace("_", " ").capitalize() if "baseline" in config else "Seq2Sick",
        model=_model_name(config.get("model_name_or_path", "an unnamed model")),
        goal=goal,
        goal_in_words=_GOALS.get(goal, goal),
        facts=_facts(config, manifest),
        lead=_lead(groups),
        headlines=[
            {
                "name": name,
                "meaning": meaning.get(goal, "") if isinstance(meaning, dict) else meaning,
                **_figure(measure, results.get(measure)),
            }
            for measure, name, meaning in _HEADLINES
        ],
        further=[
            {"name": name, **_figure(measure, results[measure])}
            for measure, name in _FURTHER.items()
            if measure in results
        ],
        seconds=results.get("seconds"),
        examples_per_second=results.get("examples_per_second"),
        attacked=len(groups["success"]) + len(groups["failed"]),
        curve=_curve_svg(records),
        words=_word_tables(changed, written, max_rows),
        replaced=sum(count for _, count, _ in changed),
        found_by=_found_by(groups["success"]),
        groups=groups,
        shown=shown,
        cards=cards,
        sizes=sorted(Counter(card["size"] for card in cards if card["size"] is not None).items()),
        many=_MANY,
        command=_one_line(manifest.get("command")),
        options={name: value for name, value in config.items() if value is not None},
        versions={
            **(manifest.get("versions") or {}),
            **({"git": manifest["git_hash"]} if manifest.get("git_hash") else {}),
        },
    )


def success_curve(records: Sequence[Record]) -> list[float]:
    """Share of the attacked sentences flipped with at most k changed words, k from 0 to a success's most.

    `[0.0]` if none was flipped, `[]` if none was attacked.
    """
    return [flipped / attacked for flipped, attacked in _flipped_counts(records)]


def picked_words(records: Sequence[Record]) -> tuple[list[tuple[str, int, int]], list[tuple[str, int]]]:
    """Which words the successes change, and which they write; the commonest first, equal ones by the alphabet.

    Returns:
        (word, times changed, times that it stands in their originals), and (word, times written).
    """
    there, changed, written = Counter[str](), Counter[str](), Counter[str]()
    for record in filter(_succeeded, records):
        original, adversarial = record["original"], record["adversarial"]
        before, after = split_words(original), split_words(adversarial)
        there.update(before)
        changed.update(before[i] for i in changed_positions(original, adversarial))
        written.update(after[i] for i in changed_positions(adversarial, original))
    return [(word, count, there[word]) for word, count in _ranked(changed)], _ranked(written)


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _word_tables(
    changed: Sequence[tuple[str, int, int]], written: Sequence[tuple[str, int]], most: int
) -> list[dict[str, Any]]:
    """The tables for the template: the `most` commonest words, and how many different ones there are."""
    tables = [
        ("Words most often changed", [(word, count, f"of {there:,}") for word, count, there in changed]),
        ("Words most often written", [(word, count, "") for word, count in written]),
    ]
    return [
        {
            "title": title,
            "rows": [
                {"word": word, "count": f"{count:,}", "more": more, "width": 100 * count / rows[0][1]}
                for word, count, more in rows[:most]
            ],
            "different": len(rows),
        }
        for title, rows in tables
    ]


def _flipped_counts(records: Sequence[Record]) -> list[tuple[int, int]]:
    attacked = sum(record["skipped"] is None for record in records)
    if attacked == 0:
        return []
    changes = [record["changed_words"] for record in records if _succeeded(record)]
    return [(sum(c <= k for c in changes), attacked) for k in range(max(changes, default=0) + 1)]


def _succeeded(record: Record) -> bool:
    return record["skipped"] is None and record["success"]


def _shares(sizes: Sequence[int], room: int) -> list[int]:
    """How many of each group to show: small ones whole, so that many successes don't hide few failures."""
    shares = [0] * len(sizes)
    for left, i in enumerate(sorted(range(len(sizes)), key=lambda i: sizes[i])):
        shares[i] = min(sizes[i], room // (len(sizes) - left))
        room -= shares[i]
    return shares


def _model_name(model: str | None) -> str:
    """A Hub id as it is, a local path by its last folder."""
    if not model:
        return "the embedded model"
    is_path = model.startswith((".", "/", "~", "\\")) or "\\" in model or model.count("/") > 1
    return model.replace("\\", "/").rstrip("/").split("/")[-1] if is_path else model


def _one_line(command: str | Sequence[str] | None) -> str:
    return command if isinstance(command, str) else shlex.join(command or [])


def _facts(config: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[tuple[str, Any]]:
    facts = [
        ("data", config.get("dataset_name", "unnamed") or "embedded"),
        ("split", config.get("split")),
        ("variant", config.get("variant")),
        ("seed", manifest.get("seed")),
        ("device", manifest.get("device")),
        ("precision", manifest.get("precision")),
    ]
    return [(name, value) for name, value in facts if value is not None]


def _lead(groups: Mapping[str, Sequence[Record]]) -> str:
    flipped, failed, skipped = (len(groups[status]) for status in ("success", "failed", "skipped"))
    if flipped + failed == 0:
        return "No sentence was attacked."
    lead = f"{flipped:,} of {flipped + failed:,} sentences flipped"
    if flipped:
        changed = sum(record["changed_words"] for record in groups["success"]) / flipped
        length = sum(len(split_words(record["original"])) for record in groups["success"]) / flipped
        lead += f", by changing {changed:.1f} of {length:.1f} words on average"
    return lead + (f"; {skipped:,} skipped." if skipped else ".")


def _found_by(successes: Sequence[Record]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for record in successes:
        if record["found_by"] is not None:
            counts[record["found_by"]] = counts.get(record["found_by"], 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _figure(measure: str, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """A measure as text, and for a rate the place of its interval on a line from 0 to 100."""
    result = result or {}
    value, low, high = (_finite(result.get(name)) for name in ("value", "low", "high"))
    rate = measure in _RATES
    unit = " %" if rate else ""
    scale, digits = (100, 1) if rate else (1, 1 if measure == "queries" else 2)
    figure: dict[str, Any] = {"value": "–", "unit": "", "interval": "", "n": result.get("n"), "bar": None}
    if value is not None:
        figure |= {"value": f"{scale * value:,.{digits}f}", "unit": unit}
        if low is not None and high is not None:
            figure["interval"] = f"{scale * low:,.{digits}f} – {scale * high:,.{digits}f}{unit}"
            if rate:
                figure["bar"] = {"value": 100 * value, "low": 100 * low, "width": 100 * (high - low)}
    return figure


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _card(record: Record, status: str) -> dict[str, Any]:
    """One sentence for the template: its record, its four texts as (space, word, marked) triples, its group by size."""
    original, adversarial = record["original"], record["adversarial"]
    clean, output = record["clean_output"], record["adversarial_output"]
    if record["keywords"]:
        wanted = {word for keyword in record["keywords"] for word in split_words(keyword)}
        in_clean, in_output = (
            [i for i, word in enumerate(split_words(text)) if word in wanted] for text in (clean, output)
        )
    else:
        in_clean = in_output = overlapping_positions(clean, output)
    return {
        "record": record,
        "status": status,
        "size": None if status == "skipped" else min(record["changed_words"], _MANY),
        "keywords": [(keyword, contains_words(output, [keyword])) for keyword in record["keywords"]],
        "length": len(split_words(original)),
        "original": _marked(original, changed_positions(original, adversarial)),
        "adversarial": _marked(adversarial, changed_positions(adversarial, original)),
        "clean_output": _marked(clean, in_clean),
        "adversarial_output": _marked(output, in_output),
    }


def _marked(text: str, positions: Sequence[int]) -> list[tuple[str, str, bool]]:
    marked = set(positions)
    return [(space, word, i in marked) for i, (space, word) in enumerate(spaced_words(text))]


def _curve_svg(records: Sequence[Record]) -> Markup | None:
    """`success_curve` with pointwise 95 % Wilson intervals; nothing if no sentence was flipped."""
    counts = _flipped_counts(records)
    curve = success_curve(records)
    if not any(curve):
        return None
    words = range(len(curve))
    intervals = [binomtest(*count).proportion_ci(method="wilson") for count in counts]
    # The salt makes the ids in the picture, and so the page, the same each time.
    with rc_context({"svg.hashsalt": "textadv", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(6.4, 3.9), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(axis="y", color=_LINE, linewidth=1)
        axes.fill_between(
            words,
            [i.low for i in intervals],
            [i.high for i in intervals],
            color=_ACCENT,
            alpha=0.14,
            linewidth=0,
        )
        axes.plot(words, curve, color=_ACCENT, linewidth=2.2, marker="o", markersize=5.5, clip_on=False, zorder=3)
        if len(curve) <= 13:
            for k, share in enumerate(curve):
                below = share > 0.9
                axes.annotate(
                    f"{100 * share:.0f}",
                    (k, share),
                    xytext=(0, -15 if below else 9),
                    textcoords="offset points",
                    ha="center",
                    color=_INK,
                    fontsize=9,
                )
        axes.set_ylim(0, 1)
        axes.set_xlim(-0.25, max(1, len(curve) - 1) + 0.25)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.set_xlabel("changed words, at most", color=_MUTED)
        axes.tick_params(colors=_MUTED, length=0, pad=6)
        axes.set_axisbelow(True)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(_MUTED)
        picture = io.StringIO()
        figure.savefig(
            picture,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    svg = picture.getvalue()
    svg = svg[svg.index("<svg") :]  # the XML prologue has no place inside a page
    for ink, variable in _INKS.items():
        svg = svg.replace(ink, variable)
    points = ", ".join(f"{k}: {100 * share:.1f} %" for k, share in enumerate(curve))
    label = f"Share of sentences flipped with at most k changed words. {points}"
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
