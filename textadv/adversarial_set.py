"""A finished run as a data set: its successes, what they are, and what it takes to check them again.

A set is a folder, here or on the Hub: `data/test-00000-of-00001.parquet` with a success a row, `attack.json` with the
victim, its decoding, the goal, the command and the figures of the run, and README.md, the card. Local paths are told by
their last part only: where things lie on a machine is no one's concern.
"""

import io
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from textadv.configs import (
    BadInput,
    BaselineConfig,
    DataConfig,
    LimitsConfig,
    MeasuresConfig,
    Seq2SickConfig,
    VictimConfig,
    WordsConfig,
)
from textadv.transfer import EMBEDDED, FinishedRun

PARQUET, ATTACK, CARD = "data/test-00000-of-00001.parquet", "attack.json", "README.md"
TEXTS = "list of string"
COLUMNS = {  # type and meaning
    "example_id": ("int64", "row of the attacked split"),
    "original": ("string", "the sentence"),
    "adversarial": ("string", "the sentence with words changed"),
    "keywords": (TEXTS, "what the output had to hold; empty for non-overlap"),
    "clean_output": ("string", "the victim's output for the original"),
    "adversarial_output": ("string", "its output for the adversarial sentence"),
    "changed_words": ("int64", "how many words were changed"),
    "input_bleu": ("float64", "adversarial against original sentence, 0 to 1: the paper's mean of BLEU-1..4"),
    "output_bleu": ("float64", "adversarial against clean output, 0 to 1: smoothed sentence BLEU"),
    "success_disjoint": ("bool", "the outputs share no word"),
    "success_half_bleu": ("bool", "at most half of the clean output is left"),
}
REFERENCE = {"reference": ("string", "the data set's own output for the original")}
GOALS = {
    "non_overlapping": "the output holds at no position the word that the clean output has there",
    "keywords": "the output holds every keyword",
}
FIGURES = {  # measure, name, scale and unit
    "success": ("Success", 100, " %"),
    "success_disjoint": ("Success with disjoint outputs", 100, " %"),
    "success_half_bleu": ("Success by half BLEU", 100, " %"),
    "changed_words": ("Changed words, successes", 1, ""),
    "input_bleu": ("BLEU of the source, successes", 1, ""),
}


def set_files(run: FinishedRun, *, license_name: str | None = None, with_references: bool = False) -> dict[str, bytes]:
    """The files of the set that a run makes, by their paths in its folder; the same for the same run.

    Raises:
        BadInput: the run has no success, or references are asked for and it has none.
    """
    from datasets import Dataset, Features, List, Value

    if not run.successes:
        raise BadInput(f"{run.label} has no success; there is nothing to publish")
    columns = COLUMNS | (REFERENCE if with_references else {})
    if with_references and any(record["reference"] is None for record in run.successes):
        raise BadInput(f"{run.label} has no references; leave out --with_references")
    kinds = {name: List(Value("string")) if kind == TEXTS else Value(kind) for name, (kind, _) in columns.items()}
    rows = [{name: record[name] for name in columns} for record in run.successes]
    parquet = io.BytesIO()
    Dataset.from_list(rows, features=Features(kinds)).to_parquet(parquet)
    attack = provenance(run)
    told = json.dumps(attack, indent=2, ensure_ascii=False) + "\n"
    return {
        PARQUET: parquet.getvalue(),
        ATTACK: told.encode(),
        CARD: card(attack, columns, license_name, len(rows)).encode(),
    }


def provenance(run: FinishedRun) -> dict[str, Any]:
    """attack.json: what was attacked and how, and what came of it."""
    config, manifest = run.manifest["config"], run.manifest
    name = run.victim.model_name_or_path
    victim = asdict(run.victim) | {"model_name_or_path": public_name(name), "fingerprint": run.fingerprint}
    return {
        "goal": config["goal"],
        "attack": config.get("baseline", "seq2sick"),
        "victim": victim | {"local": is_local(name)},
        "dataset": {
            "name": public_name(config.get("dataset_name")) or "the embedded grammar",
            "config_name": config.get("dataset_config_name"),
            "split": config.get("split"),
            "fingerprint": manifest["fingerprint"].get("dataset"),
        },
        "command": command(config, manifest["seed"]),
        "seed": manifest["seed"],
        "attacked": run.attacked,
        "results": {name: run.results[name] for name in FIGURES if name in run.results},
        "versions": manifest.get("versions", {}),
        "device": manifest.get("device"),
        "git_hash": manifest.get("git_hash"),
    }


def public_name(name: str | None) -> str | None:
    """A Hub id as it is, the path of something that lies here by its last part."""
    return Path(name).name if name is not None and is_local(name) else name


def is_local(name: str | None) -> bool:
    """Whether a name is a path of this machine: it exists here, or can't be a Hub id."""
    return name is not None and (name.startswith((".", "/", "~")) or name.count("/") > 1 or os.path.exists(name))


def command(config: Mapping[str, Any], seed: int) -> str:
    """The command of a run, by the options of its manifest that aren't the defaults."""
    kind = BaselineConfig if "baseline" in config else Seq2SickConfig
    parts = (VictimConfig, DataConfig, kind, WordsConfig, LimitsConfig, MeasuresConfig)
    defaults = {f.name: f.default for part in parts for f in fields(part)}
    given = {name: config[name] for name in defaults if name in config and config[name] != defaults[name]}
    given |= {"max_samples": config.get("max_samples"), "seed": seed or None}
    script = "seq2sick_baselines" if "baseline" in config else "seq2sick"
    words = ["accelerate", "launch", f"scripts/{script}.py"]
    for name, value in given.items():
        if value is not None:
            is_path = name.endswith(("_name_or_path", "dataset_name", "_file", "_corpus", "_model", "protected_words"))
            words += [f"--{name}", public_name(value) or "" if is_path else str(value)]
    return shlex.join(words)


def card(attack: Mapping[str, Any], columns: Mapping[str, Any], license_name: str | None, count: int) -> str:
    """README.md of a set, YAML and all."""
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        license=license_name,
        pretty_name=f"Adversarial sentences against {attack['victim']['model_name_or_path'] or 'the embedded victim'}",
        size_categories=["n<1K" if count < 1000 else "1K<n<10K" if count < 10_000 else "10K<n<100K"],
        tags=["textadv", "adversarial-attack", "robustness"],
        configs=[{"config_name": "default", "data_files": [{"split": "test", "path": "data/*.parquet"}]}],
    )
    victim, made_of = attack["victim"], attack["dataset"]
    figures = [
        "| {} | {:.{digits}f}{unit} | {:.{digits}f} to {:.{digits}f}{unit} | {} |".format(
            label, *(scale * one[k] for k in ("value", "low", "high")), one["n"], unit=unit, digits=1 if unit else 2
        )
        for name, (label, scale, unit) in FIGURES.items()
        if (one := attack["results"].get(name)) and one["value"] is not None
    ]
    schema = [f"| `{name}` | {kind} | {what} |" for name, (kind, what) in columns.items()]
    where = f" (configuration {made_of['config_name']})" if made_of["config_name"] else ""
    needed = " --model_name_or_path FOLDER_OF_THE_VICTIM" if victim["local"] else ""
    terms = "" if license_name else "\nNo licence is named: the sentences come under the terms of the data set above.\n"
    return f"""---
{data.to_yaml()}
---

# {data.pretty_name}

{count} sentences of {made_of["name"]}{where}, split `{made_of["split"]}`, with words changed so that the victim says
something else: {GOALS[attack["goal"]]}. Each was confirmed from its text, decoded with {victim["num_beams"]} beams and
at most {victim["max_new_tokens"]} pieces. They are the successes of {attack["attacked"]} sentences that were attacked:

| | value | 95 % interval | n |
|---|---|---|---|
{chr(10).join(figures)}

Made by

```
{attack["command"]}
```

and checked again by

```
python scripts/verify_adversarial_set.py --dataset_name THIS_SET{needed}
```

`attack.json` holds the victim, the fingerprint of its weights, its decoding, the seed and the versions.
{terms}
## Columns

| column | type | what |
|---|---|---|
{chr(10).join(schema)}
"""


def read_set(name: str, model_name_or_path: str | None = None) -> FinishedRun:
    """A set, in a folder or on the Hub, as the run that it was made from, against the given victim or else its own.

    Raises:
        BadInput: no such set, or its victim isn't on the Hub and none is given.
    """
    from pyarrow.parquet import read_table

    described, sentences = _file(name, ATTACK), _file(name, PARQUET)
    try:
        attack = json.loads(described.read_bytes())
        told, manifest = attack["victim"], {"config": {"goal": attack["goal"]}, "seed": attack["seed"]}
        victim = VictimConfig(**{f.name: told[f.name] for f in fields(VictimConfig)})
        # Not `load_dataset`, whose cache knows a folder that has a card by its name alone and may hold an older one.
        rows = [row | {"seed": attack["seed"]} for row in read_table(sentences).to_pylist()]
        if any(not set(row) >= set(COLUMNS) for row in rows):
            raise KeyError
        attacked, results, is_elsewhere = attack["attacked"], attack["results"], told["local"]
        manifest |= {key: attack.get(key) for key in ("versions", "device") if attack.get(key)}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{name} is no set of scripts/publish_adversarial_set.py; give one") from error
    if model_name_or_path is not None:
        victim = replace(victim, model_name_or_path=None if model_name_or_path == EMBEDDED else model_name_or_path)
    elif is_elsewhere:
        raise BadInput(
            f"{name} was made on a local victim, {victim.model_name_or_path}; give its folder by --model_name_or_path"
        )
    return FinishedRun(Path(name).name, victim, told["fingerprint"], manifest, rows, attacked, results)


def _file(name: str, path: str) -> Path:
    """One file of a set, fetched if the set isn't here."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError, HTTPError  # pyright: ignore[reportPrivateImportUsage]

    try:
        found = Path(name) / path if Path(name).exists() else Path(hf_hub_download(name, path, repo_type="dataset"))
        found.stat()
    except (OSError, HTTPError, HFValidationError) as error:
        raise BadInput(
            f"{name} has no {path} that can be read; give a folder or a Hub id that publish_adversarial_set.py wrote"
        ) from error
    return found
