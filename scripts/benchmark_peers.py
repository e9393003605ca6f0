"""Seq2Sick, two baselines and TextAttack's own attacks side by side: same victim, sentences, rule of success, machine.

TextAttack asks for packages that exclude transformers 5, so it takes two commands:
    pip install -e ".[textattack]"
    pip install --no-deps textattack==0.3.11

The embedded victim and data:
    python scripts/benchmark_peers.py --max_samples 10

A model and a data set; without TextAttack, only ours:
    python scripts/benchmark_peers.py --model_name_or_path runs/multi30k-marian \\
        --dataset_name $TEXTADV_DATA/multi30k --source_column en --target_column de --max_samples 50
    python scripts/benchmark_peers.py --attacks seq2sick word_importance random_words

textattack_seq2sick is TextAttack's recipe Seq2SickCheng2018BlackBox: words ranked by importance, each replaced by the
best of its 50 nearest words, until no output word stands in its place. The recipe downloads its word vectors; here it
is given those of --word_vectors (the counter-fitted ones, if you have them), else the victim's own vectors of the words
that ours may write. textattack_deepwordbug is the recipe DeepWordBugGao2018, which changes letters, with the same goal.
TextAttack has no goal like `--goal keywords`, so its attacks are for non_overlapping only. Nothing is downloaded for
it. It attacks one sentence after the other and decodes the candidates of each together; ours attack
--per_device_batch_size sentences at a time.

Whatever an attack claims, its sentence is decoded and judged as those of all others. Every attack has a run folder in
--output_dir, and the same command again resumes. results.json there holds the table that is printed at the end. In it,
success "within" counts only sentences of at most --max_words changed words, "claimed" is what the attack says itself,
and queries and seconds are of one sentence. Seconds are processor time on a CPU, time of day with a GPU.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import _textattack
from _estimates import estimate
from _run import Run, RunArguments, RunError, launch, writable_folder, write_json
from build_tables import number, percent

from textadv.configs import BadInput, BaselineConfig, DataConfig, PeersConfig, Seq2SickConfig, VictimConfig, WordsConfig


@dataclass(frozen=True)
class Named:
    """Which attack a run folder is of, for its manifest and report."""

    baseline: str


@dataclass(frozen=True)
class Attack:
    """`run(batch, on_finished=...)` returns records, and `made_of` is what they depend on beside `Setting`."""

    run: Callable[..., Any]
    made_of: dict[str, str]


def main(
    arguments: RunArguments,
    peers: PeersConfig,
    victim_config: VictimConfig,
    data: DataConfig,
    config: Seq2SickConfig,
    words: WordsConfig,
) -> None:
    """Runs one attack after the other, each in a folder of its own, and prints the table."""
    from textadv.report import report
    from textadv.setting import load_setting
    from textadv.summary import measures

    if foreign := [name for name in peers.attacks if name.startswith("textattack")]:
        if config.goal != "non_overlapping":
            raise RunError(f"TextAttack has no goal like {config.goal}; leave out --goal or {' and '.join(foreign)}")
        _textattack.check_installed()
    setting = load_setting(victim_config, data, config, words, max_samples=arguments.max_samples)
    attacks = ours(setting, config, peers, arguments.seed)
    if foreign:
        attacks |= theirs(setting, peers, arguments.seed)
    folder, records = writable_folder(arguments.output_dir), {}
    for name in peers.attacks:
        here = replace(arguments, output_dir=str(folder / name))
        configs = [replace(peers, attacks=[name]), victim_config, data, config, words, Named(name)]
        with Run(here, configs, setting.fingerprint() | attacks[name].made_of) as run:
            setting.victim.to(run.device)
            setting.vocabulary.unit  # noqa: B018  (made once, not part of an attack)
            for batch in run.batches(setting.examples):
                begin = clock(run.device)
                with run.accelerator.autocast():
                    found = attacks[name].run(batch, on_finished=run.advance)
                share = (clock(run.device) - begin) / len(batch)
                run.append([replace(record, seconds=share) for record in found])
            run.accelerator.print(f"\n{name}")
            run.finish(measures, report)
            if run.is_main:
                lines = (folder / name / "records.jsonl").read_text(encoding="utf-8").splitlines()
                records[name] = [json.loads(line) for line in lines]
    if records:
        results = compared(records, peers.max_words)
        write_json(folder / "results.json", results)
        print("\n" + markdown(results, peers.max_words))


def clock(device: Any) -> float:
    """Processor seconds of all threads, which other work on the machine hardly changes; with a GPU, the time of day."""
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def ours(setting: Any, config: Seq2SickConfig, peers: PeersConfig, seed: int) -> dict[str, Attack]:
    """Seq2Sick, and those of the two baselines that are asked for."""
    from textadv.baselines.baseline import baseline
    from textadv.limits import Limits
    from textadv.seq2sick import seq2sick

    limits = Limits(max_words=peers.max_words)
    same = {"seed": seed, "pool": setting.pool}
    found = {"seq2sick": Attack(partial(seq2sick, setting.vocabulary, config=config, **same), {})}
    for name in ("random_words", "word_importance"):
        if name in peers.attacks:
            options = BaselineConfig(
                baseline=name,
                goal=config.goal,
                num_keywords=config.num_keywords,
                whole_words=config.whole_words,
            )
            found[name] = Attack(partial(baseline, setting.vocabulary, config=options, limits=limits, **same), {})
    return found


def theirs(setting: Any, peers: PeersConfig, seed: int) -> dict[str, Attack]:
    """TextAttack's attacks; prints what they are made of."""
    from textadv.baselines.peer import peer
    from textadv.word_table import WordTable

    if peers.word_vectors is None:
        table, whose = WordTable.of_victim(setting.vocabulary), f"the input vectors of {setting.victim.name}"
    else:
        table, whose = WordTable.read(Path(peers.word_vectors)), peers.word_vectors
    recipes, version = _textattack.recipes(setting.victim, table)
    print(f"{version}, the 50 nearest of {len(table.words)} words by {whose}")
    made_of = {"peer": version, "peer words": table.fingerprint()}
    return {
        name: Attack(partial(peer, setting.vocabulary, search=recipe, name=name, seed=seed), made_of)
        for name, recipe in recipes.items()
    }


def compared(records: dict[str, list[dict]], max_words: int) -> dict[str, dict[str, Any]]:
    """The figures of each attack: over the sentences that it didn't skip, but `seconds` over all of them."""
    found = {}
    for name, rows in records.items():
        attacked = [row for row in rows if row["skipped"] is None]
        found[name] = {
            "success": estimate([row["success"] for row in attacked]),
            "success_within": estimate([row["success"] and row["changed_words"] <= max_words for row in attacked]),
            "claimed": estimate([row["search_success"] for row in attacked]),
            "changed_words": estimate([row["changed_words"] for row in attacked if row["success"]]),
            "queries": estimate([row["queries"] for row in attacked]),
            "seconds": math.fsum(row["seconds"] for row in rows) / len(rows),
        }
    reference = found.get("seq2sick", {}).get("seconds")
    return {name: one | {"times": reference and one["seconds"] / reference} for name, one in found.items()}


def markdown(results: dict[str, dict[str, Any]], max_words: int) -> str:
    """`compared`'s figures as a table."""
    heads = ["", "success", f"within {max_words} words", "claimed", "changed words", "queries", "seconds", "times ours"]
    lines = ["| " + " | ".join([*heads, "n"]) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, one in results.items():
        cells = [f"`{name}`", *(percent(one[key]) for key in ("success", "success_within", "claimed"))]
        cells += [
            number(one["changed_words"]),
            "-" if one["queries"]["value"] is None else f"{one['queries']['value']:.0f}",
        ]
        cells += [f"{one['seconds']:.2f}", "-" if one["times"] is None else f"{one['times']:.1f}"]
        lines.append("| " + " | ".join([*cells, str(one["success"]["n"])]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    launch(
        main,
        RunArguments,
        PeersConfig,
        VictimConfig,
        DataConfig,
        Seq2SickConfig,
        WordsConfig,
        mistakes=(BadInput,),
        description=__doc__,
    )
