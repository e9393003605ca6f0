"""publish_adversarial_set.py and verify_adversarial_set.py as users run them, against a Hub of this machine."""

import json
import os
import shutil
from pathlib import Path

import forked
import pytest
from hub import LocalHub

ROOT = Path(__file__).parents[2]
CPU = {"ACCELERATE_USE_CPU": "true"}
QUICK = "--max_samples 5 --steps 2 --refine_rounds 3 --candidates 16".split()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """A run of the embedded victim, in the place where both scripts look for it."""
    base = tmp_path_factory.mktemp("set")
    done = forked.run("seq2sick.py", *QUICK, cwd=base, env=CPU)
    assert done.returncode == 0, done.stderr
    return base / "runs" / "seq2sick"


def test_published_and_verified_by_its_id(run_folder, run_script, tmp_path):
    """Another process loads the set from the Hub and decodes every sentence again: all hold."""
    records = [json.loads(line) for line in (run_folder / "records.jsonl").read_bytes().splitlines()]
    count = sum(record["success"] for record in records)
    assert count > 0
    with LocalHub() as hub:
        env = CPU | hub.environment(tmp_path / "home")
        options = ["--run", str(run_folder), "--license", "cc0-1.0", "--push_to_hub", "--hub_dataset_id", "me/set"]
        done = run_script("publish_adversarial_set.py", *options, env=env)
        assert done.returncode == 0, done.stderr
        assert f"published: {hub.url}/datasets/me/set" in done.stdout
        files = hub.files("datasets/me/set")
        folder = tmp_path / "runs" / "publish_adversarial_set"
        here = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        assert set(here) == {"data/test-00000-of-00001.parquet", "attack.json", "README.md"}
        assert all(files[name] == path.read_bytes() for name, path in here.items())
        done = run_script("verify_adversarial_set.py", "--dataset_name", "me/set", env=env)
    assert done.returncode == 0, done.stderr
    assert f"{count} of {count} adversarial sentences hold on embedded" in done.stdout
    out = tmp_path / "runs" / "verify_adversarial_set"
    results = json.loads((out / "results.json").read_bytes())
    assert (results["verified"]["value"], results["verified"]["n"]) == (1, count)
    assert {path.name for path in out.iterdir()} == {"records.jsonl", "results.json", "manifest.json", "report.html"}


def test_what_no_longer_holds_is_told_by_the_exit_code(run_folder, run_here, tmp_path):
    """One row of the run is made up: its adversarial sentence is the original."""
    forged = tmp_path / "forged"
    shutil.copytree(run_folder, forged)
    rows = [json.loads(line) for line in (forged / "records.jsonl").read_bytes().splitlines()]
    row = next(row for row in rows if row["success"])
    row["adversarial"] = row["original"]
    (forged / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    assert run_here("publish_adversarial_set.py", "--run", "forged", "--output_dir", "set", env=CPU).returncode == 0
    done = run_here("verify_adversarial_set.py", "--dataset_name", "set", "--output_dir", "out", env=CPU)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    count = sum(one["success"] for one in rows)
    assert f"{count - 1} of {count} adversarial sentences hold" in done.stdout
    assert f"these don't: {row['example_id']}; out/report.html shows them" in done.stderr
    again = run_here("publish_adversarial_set.py", "--run", "forged", "--output_dir", "out", env=CPU)
    assert again.returncode == 2 and "out holds other files, such as manifest.json" in again.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("script", "options", "told"),
    [
        ("publish_adversarial_set.py", "--run nothing", "nothing holds no finished run; give the folder of one"),
        ("verify_adversarial_set.py", "--dataset_name me/nothing", "me/nothing has no attack.json that can be read"),
    ],
)
def test_mistakes_get_one_line(script, options, told, run_here, tmp_path):
    done = run_here(script, *options.split(), env=CPU)
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"{script}: error: ") and told in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", ["publish_adversarial_set.py", "verify_adversarial_set.py"])
def test_help_needs_no_torch(script, run_python, tmp_path):
    for name in ("torch", "datasets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    shown = run_python(script, "--help", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert shown.returncode == 0, shown.stderr
    assert f"python scripts/{script}" in shown.stdout
