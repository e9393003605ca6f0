"""Pictures of several attacks: from records, from kept results, and what is refused."""

import json
import shutil

import pytest
from draw_attacks import curves_of
from PIL import Image

from visionadv.summary import attack_measures


@pytest.fixture
def runs(tmp_path, run_here):
    """Two attacks on four digits, the second one's folder without its records, as results are kept."""
    options = "--max_samples 4 --budget 60 --report_queries 20 60 --report_distance 2".split()
    for name in ("sign_opt", "hop_skip_jump"):
        done = run_here("attack_images.py", "--attack", name, *options, "--output_dir", name)
        assert done.returncode == 0, done.stderr
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(tmp_path / "hop_skip_jump" / "results.json", kept)
    return [f"sign_opt={tmp_path / 'sign_opt'}", f"hop_skip_jump={kept}"]


def test_curves_are_what_records_and_results_say(runs, tmp_path, run_here):
    done = run_here("draw_attacks.py", "--paper", "mnist", "--name", "both", "--runs", *runs, "--output_dir", "drawn")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "drawn" / "both.png") as picture:
        assert picture.width > 2 * picture.height and len(picture.convert("L").getcolors() or range(99)) > 3
    found = curves_of(tmp_path / "sign_opt")
    records = [json.loads(line) for line in (tmp_path / "sign_opt" / "records.jsonl").read_bytes().splitlines()]
    assert max(found["median"]) == max(record["queries"] for record in records) and len(found["median"]) > 20
    for number, told in found["median"].items():
        assert told == attack_measures(records, "l2", [number])[f"median@{number}"]
        within = [any(q <= number and d <= 2 for q, d in record["curve"]) for record in records]
        assert found["within"][number]["value"] == sum(within) / 4
    results = json.loads((tmp_path / "kept" / "results.json").read_text())
    assert curves_of(tmp_path / "kept")["within"] == {20: results["within@20"], 60: results["within@60"]}


def test_what_is_drawn_together_belongs_together(tmp_path, run_here):
    options = "--max_samples 2 --budget 60 --attack sign_opt".split()
    for name, more in (("near", "--report_distance 2"), ("far", "--report_distance 3"), ("linf", "--norm linf")):
        done = run_here("attack_images.py", *options, *more.split(), "--output_dir", name)
        assert done.returncode == 0, done.stderr
    for one, other, told in (
        ("near", "far", "--report_distance is 2.0 in near and 3.0 in far; draw them apart"),
        ("near", "linf", "--norm is l2 in near and linf in linf; draw them apart"),
    ):
        done = run_here("draw_attacks.py", "--runs", f"{one}={one}", f"{other}={other}")
        assert done.returncode == 2 and told in done.stderr.strip().splitlines()[-1], done.stderr
    manifest = json.loads((tmp_path / "near" / "manifest.json").read_text())
    del manifest["config"]["attack"]
    (tmp_path / "near" / "manifest.json").write_text(json.dumps(manifest))
    done = run_here("draw_attacks.py", "--runs", "near=near")
    assert done.returncode == 2 and "near is no finished run of attack_images.py" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "--runs are missing"),
        ("--runs x", "--runs are name=folder, not 'x'"),
        ("--runs x=a x=b", "names a run twice"),
        ("--runs x=nowhere", "nowhere is no finished run of attack_images.py"),
        ("--runs x=torn", "torn is no finished run"),
        ("--runs x=other", "other has no records, and results at no numbers of queries"),
    ],
)
def test_mistakes_are_one_line(options, told, tmp_path, run_here):
    for name, text in (("torn", '{"cl'), ("other", '{"clean": {"value": 1.0, "low": 1.0, "high": 1.0, "n": 9}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(text)
    done = run_here("draw_attacks.py", *options.split())
    assert done.returncode == 2 and told in done.stderr.strip().splitlines()[-1], done.stderr
