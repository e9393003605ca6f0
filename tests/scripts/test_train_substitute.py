"""scripts/train_substitute.py: a substitute that is attacked in the victim's place, and mistakes."""

import json

import pytest


def test_a_substitute_is_taught_and_attacked(tmp_path, run_here):
    options = ["--seed_samples", "30", "--rounds", "4", "--epochs", "8", "--max_eval_samples", "100"]
    done = run_here("train_substitute.py", *options, "--output_dir", "substitute")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "substitute" / "results.json").read_text())
    assert results["queries"] == 30 * 2**3 and results["agreement"]["value"] > 0.5
    attack = ["--surrogate_name_or_path", str(tmp_path / "substitute"), "--max_samples", "20", "--output_dir", "run"]
    assert run_here("attack_images.py", *attack).returncode == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    assert {row["queries"] for row in rows if not row["already"]} == {2} and any(row["success"] for row in rows)


def test_images_that_nothing_can_be_learnt_from(tmp_path, run_here):
    from datasets import Dataset

    rows = Dataset.from_dict({"x": [0.0, 1.0], "label": [0, 1]})
    for split in ("train", "test"):
        rows.to_parquet(tmp_path / "rows" / f"{split}.parquet")
    done = run_here("train_substitute.py", "--dataset_name", str(tmp_path / "rows"), "--output_dir", "x")
    assert done.returncode == 2 and "has rows of numbers, and no net here takes these" in done.stderr
    done = run_here("train_substitute.py", "--seed_samples", "1", "--output_dir", "x")
    assert done.returncode == 2 and "images of 'train' are of one class" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--split", "train"], "the attacker's images are those of 'train', too"),
        (["--rounds", "0"], "must be at least 1"),
        (["--model", "vgg"], "a vgg takes images of"),
    ],
)
def test_mistakes_are_one_line(options, told, run_here):
    done = run_here("train_substitute.py", *options, "--output_dir", "x")
    assert done.returncode == 2 and told in done.stderr.strip().splitlines()[-1], done.stderr
