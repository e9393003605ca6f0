"""Writes the results tables of the package READMEs from the results.json files under <package>/results/.

    python scripts/build_tables.py          # writes
    python scripts/build_tables.py --check  # exit code 1 if a README is not what the results say

A table stands between the lines `<!-- table: NAME -->` and `<!-- end -->`. A row whose results.json isn't there is left
out. The command of each row is printed below its table: no figure without one. A row of several seeds is told by their
mean, with an interval that holds both what the seeds and what the examples leave uncertain. Where rows are compared
with one of them, their differences on the same images stand below, with an interval of what the seeds leave uncertain.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import _tables_advagent
import _tables_defenses
import _tables_images
import _tables_seq2sick
from _tables import RUNS, Row, Table

TABLES = (
    *_tables_seq2sick.TABLES,
    *_tables_advagent.TABLES,
    *_tables_images.TABLES,
    *_tables_defenses.TABLES,
)
ROOT = Path(__file__).parent.parent


def main() -> int:
    """Writes or checks every table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = write(check=check)
    if check and stale:
        print(f"not what the results say: {', '.join(stale)}; run python scripts/build_tables.py", file=sys.stderr)
    return int(check and bool(stale))


def write(*, check: bool = False) -> list[str]:
    """Brings every table up to date, or only looks if `check`; returns the names of those that weren't."""
    stale = []
    for table in TABLES:
        readme = ROOT / table.package / table.page
        old = readme.read_text(encoding="utf-8")
        new = replaced(old, table.name, markdown(table))
        if new != old:
            stale.append(f"{readme.relative_to(ROOT)}: {table.name}")
            if not check:
                readme.write_text(new, encoding="utf-8")
    return stale


def replaced(text: str, name: str, table: str) -> str:
    """`text` with another table between the marks of `name`. Raises ValueError if they aren't there."""
    begin, end = f"<!-- table: {name} -->\n", "<!-- end -->"
    head, _, rest = text.partition(begin)
    if end not in rest:
        raise ValueError(f"no place for table {name}")
    return head + begin + table + end + rest.partition(end)[2]


def markdown(table: Table) -> str:
    """The table, and the command of each of its rows; where nothing is measured yet, how it would be."""
    found = [(row, results) for row in table.rows if (results := results_of(table, row))]
    if not found:
        return "Not measured yet.\n" + (commands(table, table.rows) if table.page != "README.md" else "")
    with_paper = any(row.paper for row, _ in found)
    head = ["", *([f"paper: {table.paper}"] if with_paper else [])]
    head += [*(column(name)[0] for name in table.columns), "n"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row, results in found:
        cells = [row.label, *([row.paper] if with_paper else [])]
        cells += [column(name)[1](results.get(MEASURE.get(name, name))) for name in table.columns]
        lines.append("| " + " | ".join([*cells, str(results[table.columns[0]]["n"])]) + " |")
    return "\n".join(lines) + "\n" + differences(table) + commands(table, [row for row, _ in found])


def results_of(table: Table, row: Row) -> dict[str, Any] | None:
    """The results of a row, those of its seeds together; None if none are there."""
    there = list(runs_of(table, row).values())
    if not there:
        return None
    return {name: pooled([one[name] for one in there]) for name in there[0]} if row.seeds else there[0]


def runs_of(table: Table, row: Row) -> dict[int, dict[str, Any]]:
    """The results of a row's runs that are there, by their seeds, or by 0 where it has none."""
    home = ROOT / table.package / "results" / (row.of or table.name)
    paths = {seed: home / cell / "results.json" for seed, cell in zip(row.seeds or (0,), row.runs, strict=True)}
    return {seed: json.loads(path.read_text(encoding="utf-8")) for seed, path in paths.items() if path.exists()}


def differences(table: Table) -> str:
    """By how many points rows are better than the one that they are compared with, in columns of percentages.

    The mean over the seeds that both have, with Student's interval, which is of the seeds and not of the images: these
    are the same ones. Two seeds tell no interval worth the name, and less than two nothing.
    """
    from scipy import stats

    names = [name for name in table.columns if column(name)[1] is percent]
    basis = {row.cell: runs_of(table, row) for row in table.rows}.get(table.against, {})
    lines = []
    for row in table.rows:
        runs = runs_of(table, row)
        shared = [seed for seed in runs if seed in basis]
        if row.cell == table.against or len(shared) < 2:
            continue
        cells = [row.label]
        for name in names:
            gains = [100 * (runs[seed][name]["value"] - basis[seed][name]["value"]) for seed in shared]
            mean, half = math.fsum(gains) / len(gains), stats.t.ppf(0.975, len(gains) - 1) * stats.sem(gains)
            interval = f"[{mean - half:+.1f}, {mean + half:+.1f}]" if len(gains) > 2 else "(2 seeds)"
            cells.append(f"{mean:+.1f} {interval}")
        lines.append("| " + " | ".join(cells) + " |")
    if not lines:
        return ""
    label = next(row.label for row in table.rows if row.cell == table.against)
    head = [f"points more than {label}", *(column(name)[0] for name in names)]
    return "\n".join(["", "| " + " | ".join(head) + " |", "|---" * len(head) + "|", *lines, ""])


def pooled(measures: Sequence[Any]) -> Any:
    """The mean of a measure over seeds, whose examples are the same ones; of plain numbers, too.

    The interval's half is the root of the squares of two: Student's of the seeds, and what one seed's has in the mean.
    One seed alone tells nothing of the first. `of` says how many of the seeds have the measure, where not all do.
    """
    from scipy import stats

    if not isinstance(measures[0], dict):
        return math.fsum(measures) / len(measures)
    counts = [one["n"] for one in measures]
    n = f"{len(counts)} x {counts[0]}" if len({*counts}) == 1 else ", ".join(map(str, counts))
    every, measures = len(measures), [one for one in measures if one["value"] is not None]
    count, values = len(measures), [one["value"] for one in measures]
    found = {"n": n} | ({"of": f"{count} of {every} seeds"} if 0 < count < every else {})
    if not measures:
        return {"value": None, "low": None, "high": None} | found
    value = math.fsum(values) / count
    if count == 1:
        return {"value": value, "low": None, "high": None} | found
    seeds = stats.t.ppf(0.975, count - 1) * stats.sem(values)
    below = math.fsum(one["value"] - one["low"] for one in measures) / count
    above = math.fsum(one["high"] - one["value"] for one in measures) / count
    low, high = value - math.hypot(seeds, below), value + math.hypot(seeds, above)
    if all(0 <= one["low"] and one["high"] <= 1 for one in measures):
        low, high = max(low, 0.0), min(high, 1.0)
    return {"value": value, "low": low, "high": high} | found


def commands(table: Table, rows: Sequence[Row]) -> str:
    """The commands of these rows, to be pasted into a shell; that of the first seed where there are several.

    Their folders are those of reproduce_*.py, so that commands find the nets of others.
    """
    lines = [f'on="{table.on}"'] if table.on else []
    for row in rows:
        if row.of:
            lines.append(f"# {row.label}: as in table {row.of}")
            continue
        (cell, options), label = next(iter(row.runs.items())), row.label.replace("`", "")
        launch = " ".join(filter(None, ["accelerate launch", row.precision and f"--mixed_precision {row.precision}"]))
        words = [f"{launch} scripts/{row.script}.py", *(["$on"] if table.on else []), options]
        words += [f"--output_dir {RUNS}/{table.name}/{cell}"]
        more = f", and seeds {', '.join(map(str, row.seeds[1:]))} alike" if len(row.seeds) > 1 else ""
        lines.append(" ".join(filter(None, words)) + f"  # {label}{more}")
    return "\n```bash\n" + "\n".join(lines) + "\n```\n"


def with_interval(measure: dict | None, form: str, scale: float = 1) -> str:
    """`value [low, high]`, each in that form; a bound that is unknown is a dash."""
    if measure is None or measure["value"] is None:
        return "-"
    value, low, high = ("-" if measure[k] is None else f"{scale * measure[k]:{form}}" for k in ("value", "low", "high"))
    told = f"{value}{' %' if scale == 100 else ''} [{low}, {high}]"
    return f"{told} ({measure['of']})" if "of" in measure else told


def percent(measure: dict | None) -> str:
    """A rate with its interval."""
    return with_interval(measure, ".1f", 100)


def number(measure: dict | None) -> str:
    """A mean with its interval."""
    return with_interval(measure, ".2f")


def whole(measure: dict | None) -> str:
    """A large mean with its interval."""
    return with_interval(measure, ".0f")


def distance(measure: dict | None) -> str:
    """A distance with its interval."""
    return with_interval(measure, ".3g")


def column(name: str) -> tuple[str, Callable[[Any], str]]:
    """The heading of a column, and what writes its cells.

    "median@4000" is the median at 4,000 queries, and "pgd@0.1" what is right within a distance of 0.1.
    """
    kind, _, place = name.partition("@")
    heading, write_cell = COLUMNS[kind]
    if not place:
        return heading, write_cell
    return f"{heading} at {int(place):,}" if kind in BY_QUERIES else f"{heading} within {place}", write_cell


def minutes(seconds: float) -> str:
    """Wall time, or a CPU's; less than ten of them to two digits."""
    return f"{seconds / 60:.{'0f' if seconds >= 600 else '2g'}}"


def seconds(value: float) -> str:
    """A time."""
    return f"{value:.0f}"


def of_these(measure: dict | None) -> str:
    """A share of the very images that a row is about, not of others like them: without an interval."""
    return "-" if measure is None or measure["value"] is None else f"{100 * measure['value']:.1f} %"


def sign(measure: dict | None) -> str:
    """A sign of masked gradients, of as many images as can show it: bold where it fires."""
    from visionadv.masking import THRESHOLD

    fires = measure is not None and (measure["low"] or 0.0) > THRESHOLD
    told = f"**{percent(measure)}**" if fires else percent(measure)
    return f"{told}, n = {measure['n']}" if measure is not None else told


MEASURE = {"minutes": "seconds", "cpu_minutes": "cpu_seconds"}  # columns of another name than their measure's
COLUMNS = {
    "success": ("success", percent),
    "changed_words": ("changed words", number),
    "input_bleu": ("input BLEU", number),
    "success_disjoint": ("disjoint words", percent),
    "success_half_bleu": ("half BLEU", percent),
    "search_success": ("greedy claims", percent),
    "queries": ("queries", whole),
    "original_perplexity": ("perplexity before", whole),
    "adversarial_perplexity": ("and after", whole),
    "perplexity_ratio": ("perplexity ratio", number),
    "success_before": ("success before", percent),
    "success_drop": ("drop", percent),
    "changed_words_before": ("changed words before", number),
    "transferred": ("old sentences that still work", percent),
    "bleu_before": ("BLEU before", number),
    "other_success": ("its success", percent),
    "success_difference": ("difference", percent),
    "success_ratio": ("ratio", number),
    "changed_words_ratio": ("ratio of changed words", number),
    "queries_ratio": ("ratio of queries", number),
    "sentiment_agreement": ("same sentiment", percent),
    "bleu": ("BLEU", number),
    "rouge_l": ("ROUGE-L", number),
    "minutes": ("minutes", minutes),
    "cpu_minutes": ("CPU-minutes", minutes),
    "ten_epochs": ("seconds of ten epochs", seconds),
    "auc": ("AUC", number),
    "perplexity": ("perplexity", number),
    "exact_selection": ("exact decisions", percent),
    "agreement": ("agreement", percent),
    "agreement_before": ("agreement before", percent),
    "score": ("points", number),
    "partner_score": ("partner's points", number),
    "advantage": ("advantage", number),
    "advantage_rl": ("RL attack", number),
    "advantage_rl_before": ("RL attack before", number),
    "advantage_fresh": ("a new adversary", number),
    "par": ("wins", percent),
    "ties": ("ties", percent),
    "pareto": ("Pareto-optimal", percent),
    "utterance_length": ("words of an utterance", number),
    "distinct_utterances": ("distinct utterances", percent),
    "special_tokens": ("sentences with marks", percent),
    "accuracy": ("accuracy", percent),
    "median_distance": ("median distance", distance),
    "median": ("median", distance),
    "unclipped": ("before clipping", distance),
    "within": ("within eps", percent),
    "confirmed": ("seen again", of_these),
    "cosine": ("cosine", distance),
    "clean": ("clean", percent),
    "pgd": ("PGD", percent),
    "pgd_restarts": ("PGD, restarts", percent),
    "margin": ("C&W-Linf", percent),
    "square": ("Square", percent),
    "autoattack": ("AutoAttack", percent),
    "autoattack_l2": ("AutoAttack", percent),
    "decision": ("HopSkipJump", percent),
    "transfer": ("transfer", percent),
    "worst": ("all together", percent),
    "deepfool": ("DeepFool", percent),
    "carlini_wagner_l2": ("C&W-L2", percent),
    "rotation": ("rotation", percent),
    "brightness": ("brightness", percent),
    "contrast": ("contrast", percent),
    "grayscale": ("gray", percent),
    "masked_losses": ("losses", sign),
    "masked_scores": ("scores", sign),
    "masked_restarts": ("restarts", sign),
    "gradients": ("with a gradient", percent),
}
BY_QUERIES = ("median", "unclipped", "within")  # columns that are told at numbers of queries

if __name__ == "__main__":
    sys.exit(main())
