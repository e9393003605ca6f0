"""One page that shows a run of dialogues: figures, the points of both sides, and the talks as conversations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from dialogue.domain import ITEMS, WORTH
from dialogue.types import EOS, SELECTION

Record = dict[str, Any]  # a DialogueRecord as a dictionary

_HEADLINES = {
    "agreement": ("Agreement", "dialogues in which both take what divides the table"),
    "score": ("Points", "of the agent, over all dialogues"),
    "partner_score": ("The partner's points", "over all dialogues"),
    "advantage": ("Advantage", "points less the partner's"),
}
_FURTHER = {
    "pareto": "Agreements that nothing beats for both",
    "turns": "Turns of a dialogue, both sides",
    "utterance_length": "Words of an utterance",
    "distinct_utterances": "Utterances that are different ones",
}
_RATES = {"agreement", "pareto", "distinct_utterances"}


def report(
    records: Sequence[Record], results: Mapping[str, Any], manifest: Mapping[str, Any], *, max_cards: int = 200
) -> str:
    """The HTML page of a run: self-contained, without scripts, the same for the same arguments.

    `records` are `DialogueRecord`s as dictionaries; `results` maps a measure to its value, low, high and n. At most
    `max_cards` dialogues are shown. Everything that comes from a model or a data set is escaped.
    """
    config = manifest.get("config") or {}
    agent = config.get("model_name_or_path")
    partner = _name(config.get("partner_name_or_path") or agent or "the embedded SV agent")
    agent = _name(agent or "The embedded RL agent")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("dialogue").joinpath("report.html.j2").read_text(encoding="utf-8"))
    agreed = sum(record["success"] for record in records)
    points = _points(records)
    return template.render(
        title=f"{agent} and {partner} at the table",
        lead=f"{agreed:,} of {len(records):,} dialogues end in agreement.",
        facts=[f"{name} {manifest[name]}" for name in ("seed", "device", "precision") if name in manifest],
        headlines=[
            {"name": name, "meaning": meaning, **_figure(measure, results.get(measure))}
            for measure, (name, meaning) in _HEADLINES.items()
        ],
        further=[
            {"name": name, **_figure(measure, results[measure])}
            for measure, name in _FURTHER.items()
            if measure in results
        ],
        points=points,
        points_in_words="; ".join(f"{one['points']} points: {one['own']} and {one['partner']}" for one in points),
        agreed=agreed,
        failed=len(records) - agreed,
        cards=[_card(record) for record in records[:max_cards]],
        entries={name: value for name, value in config.items() if value is not None} | (manifest.get("versions") or {}),
    )


def _name(model: str) -> str:
    """A Hub id as it is, a local path by its last folder."""
    return Path(model).name if Path(model).exists() or model.count("/") > 1 else model


def _figure(measure: str, result: Mapping[str, Any] | None) -> dict[str, str]:
    """A measure as text."""
    result = result or {}
    scale, digits, unit = (100, 1, " %") if measure in _RATES else (1, 2, "")
    value, low, high = (
        "–" if result.get(key) is None else f"{scale * result[key]:,.{digits}f}" for key in ("value", "low", "high")
    )
    interval = "" if "–" in (low, high) else f"{low} to {high}{unit}"
    return {"value": value if value == "–" else value + unit, "interval": interval}


def _points(records: Sequence[Record]) -> list[dict[str, Any]]:
    """How often either side got 0 to 10 points, and how high that bar is."""
    own, partner = (Counter(record[name] for record in records) for name in ("score", "partner_score"))
    highest = max([1, *own.values(), *partner.values()])
    return [
        {
            "points": n,
            "own": own[n],
            "partner": partner[n],
            "own_height": 100 * own[n] / highest,
            "partner_height": 100 * partner[n] / highest,
        }
        for n in range(WORTH + 1)
    ]


def _card(record: Record) -> dict[str, Any]:
    """One dialogue for the template."""
    turns = [
        {
            "own": speaker == 0,
            "text": text.removesuffix(EOS).removesuffix(SELECTION).strip(),
            "selects": text.endswith(SELECTION),
        }
        for speaker, text in zip(record["speakers"], record["turns"], strict=True)
    ]
    nothing = ["–"] * len(ITEMS)
    columns = (
        record["counts"],
        record["values"],
        record["partner_values"],
        record["choice"] or nothing,
        record["partner_choice"] or nothing,
    )
    names = ("count", "value", "partner_value", "taken", "partner_taken")
    items = [
        {"name": name, **dict(zip(names, numbers, strict=True))} for name, *numbers in zip(ITEMS, *columns, strict=True)
    ]
    return {"record": record, "turns": turns, "table": items}
