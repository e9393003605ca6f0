"""Adversarial sentences of finished runs, shown to any victim: do they carry over, and do they still hold?

A sentence is judged by the goal of the attack that found it, on the outputs of the victim at hand: non-overlap against
*its* clean output of the original, or the same keywords. Shown to the victim that was attacked, decoded as it was then,
this verifies the run. A pair of sentence and victim that says nothing about transfer is set apart (`skipped`): the
victim's clean output holds the keywords already or is empty, or the sentence is longer than the victim takes.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from textadv.attack import SAID_ALREADY, SPEECHLESS
from textadv.configs import BadInput, TransferConfig, VictimConfig
from textadv.types import AttackRecord, TransferRecord
from textadv.victim import Victim
from textadv.words import changed_words, contains_words, disjoint, output_bleu, shares_no_position

TOO_LONG = "the sentence is longer than the victim takes"
EMBEDDED = "embedded"  # what the embedded victim is called where victims are named
RATES = ("success", "success_disjoint", "success_half_bleu")


@dataclass(frozen=True)
class FinishedRun:
    """A run folder: its label in tables, its victim and how that was decoded, its manifest and its successes."""

    label: str
    victim: VictimConfig
    fingerprint: str  # of the victim's weights
    manifest: dict[str, Any]
    successes: list[dict[str, Any]]  # AttackRecords as dictionaries
    attacked: int  # sentences that were not skipped
    results: dict[str, Any]  # its results.json

    @property
    def victim_name(self) -> str:
        return self.victim.model_name_or_path or EMBEDDED


@dataclass(frozen=True)
class Attempt:
    """An adversarial sentence and the label of the victim that it is shown to; `own` as in `TransferRecord`."""

    example_id: int
    run: str
    sentence: int
    seed: int
    original: str
    adversarial: str
    keywords: tuple[str, ...]
    victim: str
    own: bool


@dataclass(frozen=True)
class Column:
    """A victim of the matrix. `notes` say of which runs it is the victim without being decoded as it was then."""

    label: str
    victim: Victim
    fingerprint: str
    notes: list[str]
    owns: frozenset[str]  # labels of the runs that attacked it


def read_runs(folders: Sequence[str]) -> list[FinishedRun]:
    """The finished runs in `folders`, labelled by as much of their paths as tells them apart.

    Raises:
        BadInput: a folder that holds no finished attack, or is named twice.
    """
    return [_read_run(Path(folder), label) for folder, label in zip(folders, labels(folders), strict=True)]


def read_records(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """`AttackRecord`s as dictionaries, the manifest, and the results of a finished attack.

    Raises:
        BadInput: it isn't finished, or it is no attack on sentences.
    """
    if not (folder / "results.json").exists():
        raise BadInput(f"{folder} holds no finished run; give the folder of one, or repeat its command to finish it")
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        records = [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]
        known = {field.name for field in fields(AttackRecord)}
        if not known <= set(records[0]) or not {"goal", "num_beams"} <= set(manifest["config"]):
            raise KeyError
        results = json.loads((folder / "results.json").read_bytes())
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInput(f"{folder} is no run of an attack on sentences; give a folder of scripts/seq2sick.py") from error
    return records, manifest, results


def _read_run(folder: Path, label: str) -> FinishedRun:
    records, manifest, results = read_records(folder)
    attacked = [record for record in records if record["skipped"] is None]
    successes = [record for record in attacked if record["success"]]
    config = manifest["config"]
    victim = VictimConfig(**{f.name: config[f.name] for f in fields(VictimConfig) if f.name in config})
    fingerprint = str(manifest["fingerprint"]["victim"])
    return FinishedRun(label, victim, fingerprint, manifest, successes, len(attacked), results)


def labels(names: Sequence[str]) -> list[str]:
    """Each name by the last parts of its path, as many as it takes to tell all apart.

    Raises:
        BadInput: a name that is given twice.
    """
    parts = [Path(os.path.normpath(name)).parts for name in names]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        found = ["/".join(part[-depth:]) for part in parts]
        if len(set(found)) == len(found):
            return found
    raise BadInput(f"{', '.join(names)}: one is named twice; name each once")


def load_columns(config: TransferConfig, runs: Sequence[FinishedRun]) -> list[Column]:
    """The victims, on the CPU, all in memory: those of `config`, or else those that the runs attacked.

    A victim that a run attacked is decoded as in that run, any other as the first run's but for its prefix and
    languages, and all by `config.num_beams` and `config.max_new_tokens` where these are given.

    Raises:
        BadInput: no such model, or two runs that decode one victim differently.
    """
    names = config.victims or list(dict.fromkeys(run.victim_name for run in runs))
    columns = []
    for name, label in zip(names, labels(names), strict=True):
        victim = Victim.from_pretrained(_decoding(name, config, runs))
        fingerprint = victim.fingerprint()
        owns, notes = set[str](), []
        for run in runs:
            same_weights = run.fingerprint == fingerprint
            same_decoding = _settings(run.victim) == _settings(victim.config)
            if same_weights and same_decoding:
                owns.add(run.label)
            elif same_weights:
                notes.append(f"{run.label} attacked {label}, but decoded it otherwise")
            elif os.path.normpath(run.victim_name) == os.path.normpath(name):
                notes.append(f"{run.label} attacked {label}, but its weights have changed since")
        columns.append(Column(label, victim, fingerprint, notes, frozenset(owns)))
    return columns


def _decoding(name: str, config: TransferConfig, runs: Sequence[FinishedRun]) -> VictimConfig:
    path = None if name == EMBEDDED else name
    given = {key: getattr(config, key) for key in ("num_beams", "max_new_tokens") if getattr(config, key) is not None}
    its_runs = [run for run in runs if os.path.normpath(run.victim_name) == os.path.normpath(name)]
    if its_runs:
        known = {_settings(replace(run.victim, **given)) for run in its_runs}
        if len(known) > 1:
            told = " and ".join(run.label for run in its_runs)
            raise BadInput(f"{told} decode {name} differently; give --num_beams and --max_new_tokens, or judge apart")
        return replace(known.pop(), model_name_or_path=path)
    asked = {key: getattr(config, key) for key in ("source_prefix", "source_lang", "target_lang")}
    return replace(runs[0].victim, **given, **asked, model_name_or_path=path)


def _settings(victim: VictimConfig) -> VictimConfig:
    """How a victim is decoded, whatever its name."""
    return replace(victim, model_name_or_path=None)


def pair_up(runs: Sequence[FinishedRun], columns: Sequence[Column], *, most: int | None = None) -> list[Attempt]:
    """Every pair of a success (the first `most` of each run) and a victim, numbered victim by victim."""
    found = [one for column in columns for one in attempts_of(runs, column.label, column.owns, most=most)]
    return [replace(attempt, example_id=number) for number, attempt in enumerate(found)]


def attempts_of(
    runs: Sequence[FinishedRun], victim: str, owns: frozenset[str], *, most: int | None = None
) -> list[Attempt]:
    """The successes of runs, to be shown to the victim of that label, which is the one of the runs that it `owns`."""
    pairs = [(run, record) for run in runs for record in run.successes[:most]]
    return [
        Attempt(
            example_id=number,
            run=run.label,
            sentence=record["example_id"],
            seed=record["seed"],
            original=record["original"],
            adversarial=record["adversarial"],
            keywords=tuple(record["keywords"]),
            victim=victim,
            own=run.label in owns,
        )
        for number, (run, record) in enumerate(pairs)
    ]


def transfer(victims: Mapping[str, Victim], attempts: Sequence[Attempt]) -> list[TransferRecord]:
    """Judges a batch of attempts, each on the victim of its label; returns one record for each, in order.

    A victim decodes every text of the batch once, in full precision.
    """
    found: dict[int, TransferRecord] = {}
    for label in dict.fromkeys(attempt.victim for attempt in attempts):
        mine = [attempt for attempt in attempts if attempt.victim == label]
        found |= {record.example_id: record for record in _judged(victims[label], mine)}
    return [found[attempt.example_id] for attempt in attempts]


def _judged(victim: Victim, attempts: Sequence[Attempt]) -> list[TransferRecord]:
    begin = time.perf_counter()
    texts = list(dict.fromkeys(text for attempt in attempts for text in (attempt.original, attempt.adversarial)))
    lengths = dict(zip(texts, victim.lengths(texts), strict=True))
    spoken = [text for text in texts if lengths[text] <= victim.longest_source]
    outputs = dict(zip(spoken, victim.generate(spoken), strict=True))
    records = [_record(attempt, outputs) for attempt in attempts]
    share = (time.perf_counter() - begin) / len(attempts)
    return [replace(record, seconds=share) for record in records]


def _record(attempt: Attempt, outputs: Mapping[str, str]) -> TransferRecord:
    """`outputs` hold every text that the victim takes."""
    fits = attempt.original in outputs and attempt.adversarial in outputs
    clean, output = (outputs[attempt.original], outputs[attempt.adversarial]) if fits else ("", "")
    skipped = _why_skip(clean, attempt.keywords) if fits else TOO_LONG
    counts = skipped is None
    bleu = output_bleu(clean, output)
    return TransferRecord(
        example_id=attempt.example_id,
        seed=attempt.seed,
        success=counts and is_met(clean, output, attempt.keywords),
        queries=2 if fits else 0,
        seconds=0.0,
        original=attempt.original,
        adversarial=attempt.adversarial,
        skipped=skipped,
        keywords=list(attempt.keywords),
        run=attempt.run,
        sentence=attempt.sentence,
        victim=attempt.victim,
        own=attempt.own,
        clean_output=clean,
        adversarial_output=output,
        changed_words=changed_words(attempt.original, attempt.adversarial),
        output_bleu=bleu,
        success_disjoint=counts and disjoint(clean, output),
        success_half_bleu=counts and bleu <= 0.5,
    )


def _why_skip(clean: str, keywords: Sequence[str]) -> str | None:
    if not clean.strip():
        return SPEECHLESS
    return SAID_ALREADY if keywords and contains_words(clean, keywords) else None


def is_met(clean: str, output: str, keywords: Sequence[str]) -> bool:
    """The goal of an attack, from text: the keywords, or without any the non-overlap of two outputs.

    What `goals.NonOverlapping` and `goals.TargetedKeywords` mean by no violations.
    """
    return contains_words(output, keywords) if keywords else shares_no_position(clean, output)


def measures(records: Sequence[Mapping[str, Any]]) -> dict[str, list[bool]]:
    """What a summary averages, from `TransferRecord`s as dictionaries: of all pairs, then of each cell of the matrix.

    `success` is of the pairs of a sentence and a victim that it wasn't found on, `verified` of the others; both leave
    out what is `skipped`, and so do the cells, named "success: RUN on VICTIM" and so on.
    """
    counted = [record for record in records if record["skipped"] is None]
    found = {
        "success": [record["success"] for record in counted if not record["own"]],
        "verified": [record["success"] for record in counted if record["own"]],
        "skipped": [record["skipped"] is not None for record in records],
    }
    for run, victim in dict.fromkeys((record["run"], record["victim"]) for record in records):
        cell = [record for record in counted if (record["run"], record["victim"]) == (run, victim)]
        for rate in RATES:
            found[f"{rate}: {run} on {victim}"] = [record[rate] for record in cell]
    return found
