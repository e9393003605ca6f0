"""`harden_seq2seq.py` as users run it, on the embedded victim and attacks cut short."""

import filecmp
import json
import os
import shutil
from pathlib import Path

import pytest
from hub import LocalHub
from safetensors.torch import load_file

from textadv.configs import VictimConfig
from textadv.data import EMBEDDED_VICTIM
from textadv.victim import Victim
from textadv.words import contains_words, shares_no_position

ROOT = Path(__file__).parents[2]
CPU = {"ACCELERATE_USE_CPU": "true"}
TINY = (
    "--steps 1 --refine_rounds 3 --candidates 16 --held_out_samples 4 --max_eval_samples 4 --max_samples 150 "
    "--attacked_samples 4 --attack_candidates 8 --attack_refine_rounds 3 --steps_per_round 4 --save_steps 2 "
    "--warmup_steps 1 --per_device_train_batch_size 8"
).split()


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def without_seconds(path: Path) -> list[dict]:
    rows = lines(path)
    assert all(row.pop("seconds") >= 0 for row in rows)
    return rows


def test_rounds_resume_publication_and_claims(run_script, run_here, tmp_path):
    """A whole run; then the same one from what a kill in the second round's training leaves; then a push."""
    done = run_script("harden_seq2seq.py", "--output_dir", "whole", *TINY, env=CPU)
    assert done.returncode == 0, done.stderr
    whole, again = tmp_path / "whole", tmp_path / "again"
    results = json.loads((whole / "results.json").read_bytes())
    for name in ("bleu", "success", "changed_words", "success_disjoint"):
        assert set(results[name]) == set(results[f"{name}_before"]) == {"value", "low", "high", "n"}
    assert (results["success"]["n"], results["bleu"]["n"], results["success_drop"]["n"]) == (4, 4, 4)
    attacks = [*whole.glob("*/records.jsonl"), *whole.glob("*/*/records.jsonl")]
    attacked = sum(row["seconds"] for path in attacks for row in lines(path))
    trained = [json.loads((whole / f"round-{n}" / "training.json").read_bytes())["seconds"] for n in (1, 2)]
    assert len(attacks) == 4 and results["seconds"] == pytest.approx(attacked + sum(trained))
    assert "before:" in done.stdout and "success_drop" in done.stdout

    victim = Victim.from_pretrained(VictimConfig(model_name_or_path=str(whole)))
    rows = without_seconds(whole / "after" / "records.jsonl")
    for row in rows:
        [clean], [output] = victim.generate([row["original"]]), victim.generate([row["adversarial"]])
        assert (clean, output) == (row["clean_output"], row["adversarial_output"])
        assert row["success"] == shares_no_position(clean, output)
    old = [row for row in without_seconds(whole / "before" / "records.jsonl") if row["success"]]
    held = [shares_no_position(*victim.generate([row["original"], row["adversarial"]])) for row in old]
    assert results["transferred"]["n"] == len(old)
    assert sum(held) == round((results["transferred"]["value"] or 0) * len(old))
    attacked = [{row["example_id"] for row in lines(whole / f"round-{n}/attack/records.jsonl")} for n in (1, 2)]
    assert [len(ids) for ids in attacked] == [4, 4] and not attacked[0] & attacked[1]
    for number in (1, 2):
        folder = whole / f"round-{number}"
        made = json.loads((folder / "attack" / "manifest.json").read_bytes())["config"]
        assert (made["split"], made["steps"], made["refine_rounds"], made["candidates"]) == ("train", 0, 3, 8)
        successes = [row for row in lines(folder / "attack" / "records.jsonl") if row["success"]]
        pairs = [(row["source"], row["reference"]) for row in lines(folder / "pairs.jsonl")]
        assert pairs == [(row["adversarial"], row["reference"]) for row in successes] and pairs
    first, last = load_file(EMBEDDED_VICTIM / "model.safetensors"), load_file(whole / "model.safetensors")
    assert any(not last[name].equal(first[name]) for name in last)
    ended = load_file(whole / "round-2" / "model" / "model.safetensors")
    assert all(last[name].equal(ended[name]) for name in last)
    card = (whole / "README.md").read_text(encoding="utf-8")
    assert "## Hardening" in card and "harden_seq2seq.py" in card and "| Success of Seq2Sick |" in card

    shutil.copytree(whole, again)
    for name in ("results.json", "model.safetensors", "after", "round-2/model", "round-2/checkpoint-4"):
        path = again / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (again / "round-2" / "model.part").mkdir()
    done = run_here("harden_seq2seq.py", "--output_dir", "again", *TINY, env=CPU)
    assert done.returncode == 0, done.stderr
    resumed = json.loads((again / "results.json").read_bytes())
    assert resumed.pop("seconds") > 0 < results.pop("seconds") and resumed == results
    assert filecmp.cmp(again / "model.safetensors", whole / "model.safetensors", shallow=False)
    assert without_seconds(again / "after" / "records.jsonl") == rows

    with LocalHub() as hub:
        options = ["--output_dir", "whole", *TINY, "--push_to_hub", "--hub_model_id", "me/hardened"]
        done = run_script("harden_seq2seq.py", *options, env=CPU | hub.environment(tmp_path / "home"))
        assert done.returncode == 0, done.stderr
        assert "already finished" in done.stdout and f"published: {hub.url}/me/hardened" in done.stdout
        files = set(hub.files("models/me/hardened"))
    assert {"model.safetensors", "README.md", "tokenizer.json", "results.json"} <= files
    assert not any("/" in path or path == "manifest.json" for path in files)
    refused = run_here("harden_seq2seq.py", "--output_dir", "whole", *TINY, "--rounds", "3", env=CPU)
    assert refused.returncode == 2 and "rounds 2 there, 3 here" in refused.stderr.splitlines()[-1]


def test_keywords_and_the_controls(run_here, tmp_path):
    common = ["--rounds", "1", "--steps_per_round", "2"]
    options = [*TINY, *common, "--goal", "keywords", "--keywords", "Hund", "--adversarial_label", "clean_output"]
    done = run_here("harden_seq2seq.py", "--output_dir", "keywords", *options, env=CPU)
    assert done.returncode == 0, done.stderr
    rows = lines(tmp_path / "keywords" / "round-1" / "attack" / "records.jsonl")
    assert all(row["keywords"] == ["Hund"] for row in rows)
    pairs = lines(tmp_path / "keywords" / "round-1" / "pairs.jsonl")
    assert pairs and not any(contains_words(pair["reference"], ["Hund"]) for pair in pairs)
    for adversary, count in (("random_words", 4), ("none", None)):
        made = ["--output_dir", adversary, *TINY, *common, "--adversary", adversary]
        done = run_here("harden_seq2seq.py", *made, env=CPU)
        assert done.returncode == 0, done.stderr
        path = tmp_path / adversary / "round-1" / "pairs.jsonl"
        assert (len(lines(path)) if path.exists() else None) == count
        assert not (tmp_path / adversary / "round-1" / "attack").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--attacked_samples 9999", "2 rounds of 9999 sentences need 19998, and the training split has"),
        ("--keywords_file x", "--keywords_file is for sentences of one split"),
        ("--rounds 0", "--rounds must be at least 1, not 0"),
    ],
)
def test_mistakes_get_one_line(options, told, run_here, tmp_path):
    done = run_here("harden_seq2seq.py", "--output_dir", "out", *TINY, *options.split(), env=CPU)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("harden_seq2seq.py: error: ") and told in line
    assert not any((tmp_path / "out").glob("*"))


def test_help_needs_no_torch(run_python, tmp_path):
    for name in ("torch", "datasets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    shown = run_python("harden_seq2seq.py", "--help", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert shown.returncode == 0, shown.stderr
    assert "accelerate launch scripts/harden_seq2seq.py" in shown.stdout
