"""Adversarial fine-tuning: train a victim on sentences that Seq2Sick makes against it, and attack it again.

The embedded victim and data, offline, some minutes of one CPU core:
    accelerate launch scripts/harden_seq2seq.py

The two controls, as many steps on random noise and on clean data:
    accelerate launch scripts/harden_seq2seq.py --adversary random_words --output_dir runs/harden-noise
    accelerate launch scripts/harden_seq2seq.py --adversary none --output_dir runs/harden-none

A model of your own, against keywords, and published:
    accelerate launch scripts/harden_seq2seq.py --model_name_or_path runs/multi30k-marian --output_dir runs/hardened \\
        --dataset_name bentrevett/multi30k --source_column en --target_column de --goal keywords \\
        --rounds 3 --attacked_samples 2000 --steps_per_round 500 --push_to_hub --hub_model_id me/hardened

Each round attacks --attacked_samples other sentences of --train_split with the model so far, by an attack that
--attack_steps, --attack_refine_rounds, --attack_candidates and --attack_beam cut short, and trains --steps_per_round
steps; learning rate and warm-up begin anew. Before and after, the first --held_out_samples sentences of --split are
attacked by Seq2Sick's own options. A changed sentence is learnt with its original's reference, which is no exact match
to it any longer, or with the model's own output for the original (--adversarial_label clean_output).

The same command again resumes. The folder holds the hardened model with its card, results.json (bleu, success,
changed_words and others, each with ..._before) and manifest.json; before/, after/ and round-N/attack/ are run folders
of the attacks, round-N/pairs.jsonl holds what the round adds and round-N/model/ what it ends with. One process.
"""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from _estimates import estimate
from _run import Run, RunArguments, RunError, launch, writable_folder, write_bytes, write_json
from seq2sick import attack
from train_seq2seq import TrainArguments, begin, learn, load_splits, push, save, training_arguments

from textadv.configs import BadInput, DataConfig, HardenConfig, Seq2SickConfig, VictimConfig, WordsConfig
from textadv.types import Example


def main(
    arguments: TrainArguments,
    data: DataConfig,
    victim: VictimConfig,
    seq2sick: Seq2SickConfig,
    words: WordsConfig,
    config: HardenConfig,
) -> None:
    """Attacks, trains in rounds, attacks again, and writes the hardened model's folder."""
    from textadv.data import dataset_fingerprint
    from textadv.hardening import fresh_parts
    from textadv.setting import load_setting
    from textadv.training import load

    if words.keywords_file is not None:
        raise BadInput("--keywords_file is for sentences of one split, and two are attacked; use --keywords")
    folder = writable_folder(arguments.output_dir)
    train, test = load_splits(arguments, data, config)
    options = training_arguments(folder, arguments, config, max_steps=config.steps_per_round)
    if options.world_size > 1:
        raise RunError("hardening runs in one process; leave out --num_processes")

    def setting_of(one: VictimConfig) -> Any:
        return load_setting(one, data, seq2sick, words, max_samples=config.held_out_samples)

    setting, parts = setting_of(victim), [[]] * config.rounds
    if config.adversary != "none":
        sizes = {"rounds": config.rounds, "each": config.attacked_samples, "seed": arguments.seed}
        parts = fresh_parts(train, setting.victim, **sizes)
    fingerprint = {"train": dataset_fingerprint(train), "test": dataset_fingerprint(test)} | setting.fingerprint()
    if begin(folder, options, [arguments, data, victim, seq2sick, words, config], fingerprint):
        attacks = Attacks(folder, arguments, data, words, config)
        before = attacks.run("before", victim, setting, seq2sick)
        hardened = harden(attacks, victim, seq2sick, train, parts, setting_of)
        after = attacks.run("after", hardened, setting_of(hardened), seq2sick)
        models = {name: load(one, config.max_length) for name, one in (("before", victim), ("after", hardened))}
        for model, _ in models.values():
            model.to(options.device)
        results = compare(folder, hardened, before, after, models, test) | {"seconds": seconds(folder)}
        finish(folder, models["after"], data, victim, config, results)
    tell(folder, arguments)


class Attacks:
    """Run folders inside the folder of a hardening."""

    def __init__(
        self, folder: Path, arguments: TrainArguments, data: DataConfig, words: WordsConfig, config: HardenConfig
    ) -> None:
        self.folder, self.arguments, self.data, self.words, self.config = folder, arguments, data, words, config

    def run(
        self, name: str, victim: VictimConfig, setting: Any, seq2sick: Seq2SickConfig, split: str | None = None
    ) -> list[dict]:
        """The records of an attack on the setting's sentences, as scripts/seq2sick.py would make them.

        `split` is where they come from, if not from --split.
        """
        from textadv.report import report
        from textadv.summary import measures

        print(f"{name}:", flush=True)
        arguments = RunArguments(
            output_dir=str(self.folder / name),
            seed=self.arguments.seed,
            per_device_batch_size=self.config.per_device_batch_size,
        )
        data = replace(self.data, split=split or self.data.split)
        with Run(arguments, [victim, data, seq2sick, self.words], setting.fingerprint()) as run:
            attack(run, setting, seq2sick)
            run.finish(measures, report)
        return [json.loads(line) for line in (self.folder / name / "records.jsonl").read_bytes().splitlines()]


def harden(
    attacks: Attacks,
    victim: VictimConfig,
    seq2sick: Seq2SickConfig,
    train: list[Example],
    parts: list[list[Example]],
    setting_of: Callable[[VictimConfig], Any],
) -> VictimConfig:
    """A round for each of `parts`, the sentences that it attacks; one whose model is there isn't run again.

    Returns the victim that the last one ends with.
    """
    from transformers import set_seed

    from textadv.hardening import mixture
    from textadv.training import load

    config, arguments = attacks.config, attacks.arguments
    learnt: list[Example] = []
    for number, part in enumerate(parts, start=1):
        home = attacks.folder / f"round-{number}"
        home.mkdir(exist_ok=True)
        learnt += pairs_of(home, part, attacks, victim, seq2sick, setting_of)
        if part and not learnt:
            raise BadInput("no adversarial sentence was found; raise --attacked_samples, in another --output_dir")
        if not (home / "model").exists():
            options = training_arguments(home, arguments, config, max_steps=config.steps_per_round)
            count = options.max_steps * options.train_batch_size * options.gradient_accumulation_steps
            kind = {"share": config.adversarial_share, "count": count, "seed": arguments.seed, "number": number}
            set_seed(arguments.seed)
            start = time.perf_counter()
            model, tokenizer = load(victim, config.max_length)
            model = learn(home, options, model, tokenizer, mixture(train, learnt, **kind), victim.source_prefix)
            model.save_pretrained(home / "model.part")
            tokenizer.save_pretrained(home / "model.part")
            write_json(home / "training.json", {"seconds": time.perf_counter() - start})
            os.replace(home / "model.part", home / "model")  # whole, or not there
        victim = replace(victim, model_name_or_path=str(home / "model"))
    return victim


def pairs_of(
    home: Path,
    part: list[Example],
    attacks: Attacks,
    victim: VictimConfig,
    seq2sick: Seq2SickConfig,
    setting_of: Callable[[VictimConfig], Any],
) -> list[Example]:
    """What a round adds to the pairs that are learnt, from its pairs.jsonl if that is there."""
    from textadv.hardening import attacked_pairs, noisy_pairs, training_attack
    from textadv.keywords import with_keywords

    path, config = home / "pairs.jsonl", attacks.config
    if not part:
        return []
    if not path.exists():
        setting = setting_of(victim)
        if config.adversary == "seq2sick":
            part = with_keywords(part, attacks.words, setting.victim)
            attacked = replace(setting, examples=part)
            short, name = training_attack(seq2sick, config), f"{home.name}/attack"
            records = attacks.run(name, victim, attacked, short, split=config.train_split)
            pairs = attacked_pairs(records, config.adversarial_label)
        else:
            kind = {"words": config.noise_words, "label": config.adversarial_label, "seed": attacks.arguments.seed}
            pairs = noisy_pairs(setting.vocabulary, part, whole_words=seq2sick.whole_words, **kind)
        lines = [json.dumps(asdict(pair), ensure_ascii=False) + "\n" for pair in pairs]
        write_bytes(path, "".join(lines).encode())
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [Example(row["example_id"], row["source"], row["reference"]) for row in rows]


def compare(
    folder: Path,
    hardened: VictimConfig,
    before: list[dict],
    after: list[dict],
    models: dict[str, tuple[Any, Any]],
    test: list[Example],
) -> dict[str, dict]:
    """results.json: the hardened model's figures, and those of the model before."""
    from textadv.hardening import comparison
    from textadv.scoring import score
    from textadv.transfer import attempts_of, read_runs, transfer
    from textadv.victim import Victim

    judge = Victim.from_pretrained(hardened, device=models["after"][0].device)
    attempts = attempts_of(read_runs([str(folder / "before")]), "hardened", frozenset())
    transferred = [asdict(record) for record in transfer({"hardened": judge}, attempts)]
    scores = {name: score(*model, test, hardened.source_prefix) for name, model in models.items()}
    found = scores["after"] | {f"{name}_before": value for name, value in scores["before"].items()}
    return found | {name: estimate(values) for name, values in comparison(before, after, transferred).items()}


def seconds(folder: Path) -> float:
    """What attacks and training took: a round's training from where it was last resumed."""
    attacks = [line for path in folder.glob("**/records.jsonl") for line in path.read_bytes().splitlines()]
    rounds = [path.read_bytes() for path in folder.glob("round-*/training.json")]
    return math.fsum(json.loads(line)["seconds"] for line in attacks + rounds)


def finish(
    folder: Path,
    made: tuple[Any, Any],
    data: DataConfig,
    victim: VictimConfig,
    config: HardenConfig,
    results: dict[str, Any],
) -> None:
    """The model, its card and, at last, results.json."""
    from textadv.hardening import card_section

    name = victim.model_name_or_path
    base = {} if name is None or Path(name).exists() else {"base_model": name}
    save(folder, *made, data, results, section=card_section(results, config), **base)


def tell(folder: Path, arguments: TrainArguments) -> None:
    """Prints the results of a finished hardening, and publishes the model if that is asked for."""
    results = json.loads((folder / "results.json").read_bytes())
    for name, one in results.items():
        if name != "seconds" and not name.endswith("_before"):
            was = results.get(f"{name}_before")
            print(f"{name:<20}", *([f"{interval(was)} before,"] if was else []), f"{interval(one)}, n = {one['n']}")
    print(f"the model is in {folder}")
    if arguments.push_to_hub:
        print("published:", push(folder, arguments.hub_model_id or folder.resolve().name))


def interval(one: dict) -> str:
    """A value and its interval."""
    return "-" if one["value"] is None else "{value:.3g} ({low:.3g} to {high:.3g})".format(**one)


if __name__ == "__main__":
    configs = (TrainArguments, DataConfig, VictimConfig, Seq2SickConfig, WordsConfig, HardenConfig)
    launch(main, *configs, mistakes=(BadInput,), description=__doc__)
