"""One page that shows a transfer matrix: a heat table with intervals, and the sentences that carry over furthest."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from textadv.transfer import RATES, FinishedRun
from textadv.words import changed_positions, spaced_words

Record = dict[str, Any]  # a TransferRecord as a dictionary

_RULES = {
    "success": "Success",
    "success_disjoint": "Disjoint: the outputs share no word",
    "success_half_bleu": "Half BLEU: at most half of the clean output is left",
}
_GOALS = {"non_overlapping": "non-overlap", "keywords": "keywords"}


def report(
    records: Sequence[Record],
    results: Mapping[str, Any],
    manifest: Mapping[str, Any],
    *,
    runs: Sequence[FinishedRun],
    notes: Sequence[str] = (),
    max_cards: int = 100,
) -> str:
    """The HTML page of a transfer run: self-contained, without scripts, the same for the same arguments.

    `records` are `TransferRecord`s as dictionaries and `results` what `transfer.measures` found of them, with value,
    low, high and n. At most `max_cards` sentences are shown, those first that meet their goal on most victims.
    Everything that comes from a model or a data set is escaped.
    """
    victims = list(dict.fromkeys(record["victim"] for record in records))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("textadv").joinpath("transfer.html.j2").read_text(encoding="utf-8"))
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record["run"], record["sentence"]), []).append(record)
    ranked = sorted(groups.values(), key=lambda group: -sum(record["success"] for record in group))
    return template.render(
        runs=[(run, _GOALS.get(run.manifest["config"]["goal"], "")) for run in runs],
        victims=victims,
        tables=[(_RULES[rate], _table(rate, records, results, [run.label for run in runs], victims)) for rate in RATES],
        lead=_lead(results),
        notes=[*notes, *_broken(records, manifest, runs)],
        cards=[_card(group) for group in ranked[:max_cards]],
        sentences=len(groups),
        manifest=manifest,
    )


def _table(
    rate: str, records: Sequence[Record], results: Mapping[str, Any], runs: Sequence[str], victims: Sequence[str]
) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """Rows of cells; None where a run had no success to judge."""
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        place = record["run"], record["victim"]
        cell = cells.setdefault(place, {"own": record["own"], "skipped": 0, **_percent(results, rate, *place)})
        cell["skipped"] += record["skipped"] is not None
    return [(run, [cells.get((run, victim)) for victim in victims]) for run in runs]


def _percent(results: Mapping[str, Any], rate: str, run: str, victim: str) -> dict[str, Any]:
    found = results[f"{rate}: {run} on {victim}"]
    if found["value"] is None:
        return {"value": None, "n": found["n"]}
    return {name: 100 * found[name] for name in ("value", "low", "high")} | {"n": found["n"]}


def _lead(results: Mapping[str, Any]) -> str:
    told = {"success": "on victims other than the one attacked", "verified": "on the victim attacked, decoded anew"}
    found = [
        f"{100 * results[name]['value']:.1f} % of {results[name]['n']:,} hold {where}"
        for name, where in told.items()
        if results[name]["value"] is not None
    ]
    return "; ".join(found) + "." if found else "No pair of a sentence and a victim counts."


def _broken(records: Sequence[Record], manifest: Mapping[str, Any], runs: Sequence[FinishedRun]) -> list[str]:
    """A line for each run whose successes don't all hold on their own victim, with what is another than it was."""
    found = []
    for run in runs:
        own = [record for record in records if record["run"] == run.label and record["own"]]
        fallen = [record["sentence"] for record in own if not record["success"]]
        if fallen:
            now, then = (made.get("versions", {}) | {"device": made.get("device")} for made in (manifest, run.manifest))
            other = [f"{key} {then.get(key)} then, {now[key]} now" for key in now if now[key] != then.get(key)]
            why = ", ".join(other) or "nothing that is on record has changed: a tie between beams, or another batch"
            names = ", ".join(map(str, fallen[:20])) + (" ..." if len(fallen) > 20 else "")
            found.append(f"{run.label}: {len(fallen)} of {len(own)} don't hold on their own victim ({names}); {why}")
    return found


def _card(group: Sequence[Record]) -> dict[str, Any]:
    """One sentence for the template, its texts as (space, word, marked) triples, and what each victim makes of it."""
    first = group[0]
    original, adversarial = first["original"], first["adversarial"]
    return {
        "first": first,
        "met": sum(record["success"] for record in group),
        "group": group,
        "original": _marked(original, changed_positions(original, adversarial)),
        "adversarial": _marked(adversarial, changed_positions(adversarial, original)),
    }


def _marked(text: str, positions: Sequence[int]) -> list[tuple[str, str, bool]]:
    marked = set(positions)
    return [(space, word, i in marked) for i, (space, word) in enumerate(spaced_words(text))]
