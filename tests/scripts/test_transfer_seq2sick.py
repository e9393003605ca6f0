"""scripts/transfer_seq2sick.py as users run it: two runs, the embedded victim and a disturbed one."""

import json
import os
from pathlib import Path

import pytest
import torch

from textadv.configs import VictimConfig
from textadv.victim import Victim

ROOT = Path(__file__).parents[2]
CPU = {"ACCELERATE_USE_CPU": "true"}
QUICK = "--max_samples 4 --steps 2 --refine_rounds 3 --candidates 16".split()


def lines(folder) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]
    return [row for row in rows if row.pop("seconds") >= 0]


def test_a_matrix_of_two_runs_and_two_victims(run_script, run_here, tmp_path):
    """It verifies both runs, resumes what was cut off, and refuses another matrix in its folder."""
    victim = Victim.from_pretrained(VictimConfig())
    with torch.no_grad():
        for values in victim.model.parameters():
            values += 0.02 * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
    victim.model.save_pretrained(tmp_path / "noisy")
    victim.tokenizer.save_pretrained(tmp_path / "noisy")
    for goal in ("non_overlapping", "keywords"):
        done = run_here("seq2sick.py", "--goal", goal, "--output_dir", f"runs/{goal}", *QUICK, env=CPU)
        assert done.returncode == 0, done.stderr
    options = ["--runs", "runs/non_overlapping", "runs/keywords", "--victims", "embedded", "noisy"]
    options += ["--output_dir", "out", "--max_samples", "2", "--per_device_batch_size", "3"]
    done = run_script("transfer_seq2sick.py", *options, env=CPU)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"records.jsonl", "results.json", "manifest.json", "report.html"}
    rows, results = lines(out), json.loads((out / "results.json").read_bytes())
    own = [row for row in rows if row["own"]]
    assert results["verified"]["value"] == 1 and results["verified"]["n"] == len(own) > 0
    assert {(row["run"], row["victim"]) for row in own} <= {("non_overlapping", "embedded"), ("keywords", "embedded")}
    assert results["success: non_overlapping on noisy"]["n"] == 2
    assert "Transfer of adversarial sentences" in (out / "report.html").read_text(encoding="utf-8")
    whole = (out / "records.jsonl").read_bytes()
    (out / "records.jsonl").write_bytes(whole[: len(whole) // 2])  # cut off in the middle of a line
    assert run_here("transfer_seq2sick.py", *options, env=CPU).returncode == 0
    assert lines(out) == rows
    refused = run_here("transfer_seq2sick.py", *options, "--num_beams", "2", env=CPU)
    assert refused.returncode == 2 and "num_beams null there, 2 here" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "runs/seq2sick holds no finished run; give the folder of one"),
        ("--num_beams 0", "--num_beams must be at least 1, not 0"),
        ("--runs a a", "a, a: one is named twice; name each once"),
    ],
)
def test_mistakes_get_one_line(options, told, run_here, tmp_path):
    done = run_here("transfer_seq2sick.py", *options.split(), env=CPU)
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("transfer_seq2sick.py: error: ") and told in line
    assert not list(tmp_path.iterdir())


def test_help_is_quick_and_imports_no_torch(run_python, tmp_path):
    for name in ("torch", "datasets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    shown = run_python("transfer_seq2sick.py", "--help", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert shown.returncode == 0, shown.stderr
    assert "accelerate launch scripts/transfer_seq2sick.py" in shown.stdout
