"""One page that shows a run of dialogues: figures, the points of both sides, and the talks as conversations."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from scipy.stats import t

from dialogue.domain import ITEMS, WORTH, in_words
from dialogue.summary import own_sentences
from dialogue.types import EOS, SELECTION

Record = dict[str, Any]  # a DialogueRecord, or an AttackRecord, as a dictionary

_RATES = {"agreement", "pareto", "distinct_utterances", "par", "ties", "attacked", "special_tokens"}


@dataclass(frozen=True)
class View:
    """What a page calls things. The names of measures come with what is said of them."""

    headlines: Mapping[str, tuple[str, str]]
    further: Mapping[str, str]
    agent: str
    partner: str
    yes: str  # of a success
    no: str


SELFPLAY = View(
    headlines={
        "agreement": ("Agreement", "dialogues in which both take what divides the table"),
        "score": ("Points", "of the agent, over all dialogues"),
        "partner_score": ("The partner's points", "over all dialogues"),
        "advantage": ("Advantage", "points less the partner's"),
    },
    further={
        "par": "Dialogues in which the agent gets more",
        "ties": "Dialogues that nobody wins",
        "pareto": "Agreements that nothing beats for both",
        "turns": "Turns of a dialogue, both sides",
        "utterance_length": "Words of an utterance",
        "distinct_utterances": "Utterances that are different ones",
    },
    agent="the agent",
    partner="its partner",
    yes="agreed",
    no="not agreed",
)
ATTACK = View(
    headlines={
        "advantage": ("Advantage", "the adversary's points less the target's"),
        "par": ("Dialogues won", "in which the adversary gets more points"),
        "score": ("Points", "of the adversary, over all dialogues"),
        "partner_score": ("The target's points", "over all dialogues"),
    },
    further={
        "ties": "Dialogues that nobody wins",
        "agreement": "Dialogues in which the target wants a deal",
        "attacked": "Dialogues with an attacked sentence",
        "changed_words": "Changed words of an attacked sentence",
        "perplexity_ratio": "Growth of its perplexity, as a factor",
        "special_tokens": "Sentences that hold marks",
        "candidates": "Candidates that were scored for a dialogue",
        "turns": "Turns of a dialogue, both sides",
    },
    agent="the adversary",
    partner="the target",
    yes="won",
    no="not won",
)


def report(
    records: Sequence[Record], results: Mapping[str, Any], manifest: Mapping[str, Any], *, max_cards: int = 200
) -> str:
    """The HTML page of two agents' dialogues: self-contained, without scripts, the same for the same arguments.

    `records` are `DialogueRecord`s as dictionaries; `results` maps a measure to its value, low, high and n. At most
    `max_cards` dialogues are shown. Everything that comes from a model or a data set is escaped.
    """
    config = manifest.get("config") or {}
    agent = config.get("model_name_or_path")
    partner = _name(config.get("partner_name_or_path") or agent or "the embedded SV agent")
    agent = _name(agent or "The embedded RL agent")
    lead = f"{sum(record['success'] for record in records):,} of {len(records):,} dialogues end in agreement."
    return _page(records, results, manifest, SELFPLAY, f"{agent} and {partner} at the table", lead, [], max_cards)


def attack_report(
    records: Sequence[Record], results: Mapping[str, Any], manifest: Mapping[str, Any], *, max_cards: int = 200
) -> str:
    """The page of an adversary's dialogues with a target; as `report`, of `AttackRecord`s.

    Words that were swapped are marked. Beside each attacked sentence stands what the target would have said and taken
    without the attack, and at the last of them whether the deal turned there.
    """
    config = manifest.get("config") or {}
    target = _name(config.get("model_name_or_path") or "the embedded RL agent")
    title = f"{(config.get('attack') or 'attack').capitalize()} attack on {target}"
    lead = f"The adversary wins {sum(record['success'] for record in records):,} of {len(records):,} dialogues."
    return _page(records, results, manifest, ATTACK, title, lead, _breakdown(records), max_cards)


def _page(
    records: Sequence[Record],
    results: Mapping[str, Any],
    manifest: Mapping[str, Any],
    view: View,
    title: str,
    lead: str,
    breakdown: list[dict[str, str]],
    max_cards: int,
) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("dialogue").joinpath("report.html.j2").read_text(encoding="utf-8"))
    points = _points(records)
    successes = sum(record["success"] for record in records)
    config = manifest.get("config") or {}
    return template.render(
        view=view,
        title=title,
        lead=lead,
        facts=[f"{name} {manifest[name]}" for name in ("seed", "device", "precision") if name in manifest],
        headlines=[
            {"name": name, "meaning": meaning, **_figure(measure, results.get(measure))}
            for measure, (name, meaning) in view.headlines.items()
        ],
        further=[
            {"name": name, **_figure(measure, results[measure])}
            for measure, name in view.further.items()
            if measure in results
        ],
        breakdown=breakdown,
        points=points,
        points_in_words="; ".join(f"{one['points']} points: {one['own']} and {one['partner']}" for one in points),
        successes=successes,
        failures=len(records) - successes,
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


def _breakdown(records: Sequence[Record]) -> list[dict[str, str]]:
    """Mean advantage with its interval, by the attack that was last in a dialogue, and by when the first one came."""
    groups = defaultdict[str, list[int]](list)
    for record in records:
        advantage = record["score"] - record["partner_score"]
        places = [i for i, speaker in enumerate(record["speakers"]) if speaker == 0]
        attacked = [(at, kind) for at, kind in zip(places, record["kinds"], strict=False) if kind in ATTACKS]
        groups[f"last attack: {attacked[-1][1] if attacked else 'none'}"].append(advantage)
        if attacked:
            groups[f"first one after {attacked[0][0]} utterances"].append(advantage)
    found = []
    for name, values in sorted(groups.items()):
        n, mean = len(values), sum(values) / len(values)
        deviation = (sum((value - mean) ** 2 for value in values) / max(n - 1, 1)) ** 0.5
        half = float(t.ppf(0.975, n - 1)) * deviation / n**0.5 if n > 1 else None
        interval = "" if half is None else f"{mean - half:.2f} to {mean + half:.2f}"
        found.append({"name": name, "n": f"{n:,}", "value": f"{mean:.2f}", "interval": interval})
    return found


ATTACKS = ("reactive", "preemptive", "transfer")


def _card(record: Record) -> dict[str, Any]:
    """One dialogue for the template."""
    turns = [
        {
            "own": speaker == 0,
            "words": [{"text": word, "was": ""} for word in text.removesuffix(EOS).removesuffix(SELECTION).split()],
            "selects": text.endswith(SELECTION),
            "kind": "",
        }
        for speaker, text in zip(record["speakers"], record["turns"], strict=True)
    ]
    if "kinds" in record:
        _mark(record, [turn for turn in turns if turn["own"]])
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


def _mark(record: Record, own: list[dict[str, Any]]) -> None:
    """Adds to the adversary's turns what the attack made of them."""
    last = max((i for i, kind in enumerate(record["kinds"]) if kind in ATTACKS), default=None)
    told = zip(
        own,
        own_sentences(record),
        record["kinds"],
        record["bases"],
        record["unattacked_replies"],
        record["unattacked_choices"],
        strict=False,
    )
    for i, (turn, text, kind, base, reply, choice) in enumerate(told):
        if kind not in ATTACKS:
            continue
        turn["kind"] = kind
        if kind == "transfer":
            continue
        turn["words"] = [
            {"text": word, "was": old if word != old else ""}
            for word, old in zip(text.split(), base.split(), strict=True)
            if word not in (EOS, SELECTION)
        ]
        turn["reply"] = reply.replace(EOS, "").replace(SELECTION, "(selection)").strip()
        turn["choice"] = in_words([int(n) for n in choice.split()]) if choice else "no deal"
        taken = " ".join(map(str, record["partner_choice"]))
        turn["turned"] = i == last and record["success"] and choice != taken
