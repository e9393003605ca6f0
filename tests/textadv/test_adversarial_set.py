"""A set holds what its run claims, is read back as it was written, and tells no one where things lie."""

import io
import json
import shlex
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import yaml
from pyarrow import table
from pyarrow.parquet import write_table

from textadv.adversarial_set import ATTACK, CARD, COLUMNS, PARQUET, command, public_name, read_set, set_files
from textadv.configs import (
    BadInput,
    DataConfig,
    LimitsConfig,
    MeasuresConfig,
    Seq2SickConfig,
    VictimConfig,
    WordsConfig,
)
from textadv.transfer import FinishedRun

RATE = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8}


def finished(model: str | None = None, count: int = 3, **config) -> FinishedRun:
    row = {
        "seed": 4,
        "original": "Ein\u2028 „Hund“, der | sitzt.",
        "adversarial": "Kein Hund <b>",
        "keywords": ["Hund", "sitzt"],
        "reference": "A dog.",
        "clean_output": "A dog",
        "adversarial_output": "No dog",
        "changed_words": 1,
        "input_bleu": 0.1,
        "output_bleu": 1 / 3,
        "success_disjoint": False,
        "success_half_bleu": True,
        "queries": 9,
        "found_by": "refinement",
    }
    victim = VictimConfig(model_name_or_path=model, num_beams=3, source_prefix="translate: ")
    parts = (victim, DataConfig(dataset_name="me/data"), Seq2SickConfig(goal="keywords"), WordsConfig())
    options = {name: value for part in parts for name, value in asdict(part).items()} | config
    manifest = {
        "seed": 4,
        "config": options | {"max_samples": 8},
        "fingerprint": {"victim": "abc", "dataset": "def"},
        "versions": {"torch": "2"},
        "device": "cpu",
    }
    results = {"success": RATE, "changed_words": RATE | {"value": None, "low": None, "high": None, "n": 0}}
    return FinishedRun("run", victim, "abc", manifest, [row | {"example_id": i} for i in range(count)], 8, results)


def write(folder: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return str(folder)


def test_a_set_is_read_back_as_it_was_written(tmp_path):
    run = finished()
    files = set_files(run)
    assert files == set_files(run), "the same bytes for the same run"
    found = read_set(write(tmp_path / "set", files))
    assert found.successes == [{name: row[name] for name in [*COLUMNS, "seed"]} for row in run.successes]
    assert (found.victim, found.fingerprint, found.attacked, found.label) == (run.victim, "abc", 8, "set")
    assert found.manifest["config"]["goal"] == "keywords" and found.results["success"] == RATE
    other = read_set(str(tmp_path / "set"), "some/model")
    assert other.victim == replace(run.victim, model_name_or_path="some/model")
    from datasets import load_dataset

    plain = load_dataset(str(tmp_path / "set"), split="test", cache_dir=str(tmp_path / "cache"))
    assert plain.column_names == list(COLUMNS) and plain[0]["keywords"] == ["Hund", "sitzt"]


def test_references_only_on_demand(tmp_path):
    assert b"A dog." not in b"".join(set_files(finished()).values())
    folder = write(tmp_path / "set", set_files(finished(count=1)))
    assert len(read_set(folder).successes) == 1 and "reference" not in read_set(folder).successes[0]
    found = read_set(write(tmp_path / "set", set_files(finished(), with_references=True)))  # in the same place
    assert len(found.successes) == 3
    assert found.successes[0]["reference"] == "A dog."
    run = finished()
    without = replace(run, successes=[row | {"reference": None} for row in run.successes])
    with pytest.raises(BadInput, match="has no references; leave out --with_references"):
        set_files(without, with_references=True)
    with pytest.raises(BadInput, match="has no success"):
        set_files(finished(count=0))


def test_the_card_tells_what_is_asked_for(tmp_path):
    text = set_files(finished(), license_name="cc-by-4.0")[CARD].decode()
    _, head, body = text.split("---\n", 2)
    data = yaml.safe_load(head)
    assert data["license"] == "cc-by-4.0"
    assert data["configs"] == [{"config_name": "default", "data_files": [{"split": "test", "path": "data/*.parquet"}]}]
    assert "| Success | 50.0 % | 25.0 to 75.0 % | 8 |" in body and "Changed words, successes" not in body
    assert "3 sentences of me/data, split `test`" in body and "every keyword" in body and "3 beams" in body
    assert all(f"| `{name}` |" in body for name in COLUMNS)
    assert "No licence is named" not in body
    unnamed = set_files(finished())[CARD].decode()
    assert "license" not in yaml.safe_load(unnamed.split("---\n")[1]) and "No licence is named" in unnamed


def test_paths_of_this_machine_stay_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "secret").mkdir(parents=True)
    run = finished("runs/secret", dataset_name=str(tmp_path / "data"), source_corpus="~/words.txt")
    files = set_files(run)
    for name in (ATTACK, CARD):
        assert str(tmp_path).encode() not in files[name] and b"runs/secret" not in files[name]
        assert b"~/" not in files[name] and b"words.txt" in files[name]
    folder = write(tmp_path / "set", files)
    with pytest.raises(BadInput, match="was made on a local victim, secret; give its folder by --model_name_or_path"):
        read_set(folder)
    assert read_set(folder, "runs/secret").victim.model_name_or_path == "runs/secret"
    assert "--model_name_or_path FOLDER_OF_THE_VICTIM" in files[CARD].decode()
    assert [public_name(name) for name in ("me/model", None, "/a/b", "a/b/c")] == ["me/model", None, "b", "c"]


def test_the_command_makes_the_same_options_again():
    """Read by the parser that the script uses."""
    from transformers import HfArgumentParser

    limits = asdict(LimitsConfig(protected_words="not never", max_words=2, max_perplexity_ratio=1.5))
    limits |= asdict(MeasuresConfig(perplexity_model="me/lm"))
    given = {"restore": False, "lasso": 0.25, "whole_words": False, "keywords": "Hund sitzt"} | limits
    run = finished("me/model", **given)
    words = shlex.split(command(run.manifest["config"], 4))
    assert words[:3] == ["accelerate", "launch", "scripts/seq2sick.py"]
    parts: list = [VictimConfig, DataConfig, Seq2SickConfig, WordsConfig, LimitsConfig, MeasuresConfig]
    parser = HfArgumentParser(parts)
    parser.add_argument("--max_samples", type=int)
    parser.add_argument("--seed", type=int)
    *configs, rest = parser.parse_args_into_dataclasses(words[3:])
    options = {f.name: getattr(config, f.name) for config in configs for f in fields(config)}
    expected = run.manifest["config"] | {"model_name_or_path": "me/model"}
    assert options | {"max_samples": rest.max_samples} == expected and rest.seed == 4


@pytest.mark.parametrize("broken", ["no attack", "torn attack", "no victim", "no columns"])
def test_what_is_no_set_is_refused(broken, tmp_path):
    files = set_files(finished())
    if broken == "no attack":
        del files[ATTACK]
    elif broken == "torn attack":
        files[ATTACK] = files[ATTACK][:50]
    elif broken == "no victim":
        files[ATTACK] = json.dumps({"goal": "keywords", "seed": 0}).encode()
    else:
        parquet = io.BytesIO()
        write_table(table({"a": [1]}), parquet)
        files[PARQUET] = parquet.getvalue()
    with pytest.raises(BadInput, match=r"has no attack.json that can be read|is no set of scripts/publish"):
        read_set(write(tmp_path / "set", files))
