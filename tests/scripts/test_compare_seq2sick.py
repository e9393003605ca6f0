"""scripts/compare_seq2sick.py as users run it: Seq2Sick against random words on the embedded victim."""

import json

CPU = {"ACCELERATE_USE_CPU": "true"}
FOUR = ["--max_samples", "4"]


def test_seq2sick_against_random_words(run_here, tmp_path):
    quick = "--steps 2 --refine_rounds 2 --candidates 8 --max_words 5".split()
    assert run_here("seq2sick.py", *FOUR, *quick, env=CPU).returncode == 0
    assert run_here("seq2sick_baselines.py", *FOUR, "--tries", "8", env=CPU).returncode == 0
    done = run_here("compare_seq2sick.py")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "runs" / "compare_seq2sick" / "results.json").read_bytes())
    for name, script in (("success", "seq2sick"), ("other_success", "seq2sick_baselines")):
        whole = json.loads((tmp_path / "runs" / script / "results.json").read_bytes())
        assert results[name]["value"] == whole["success"]["value"] and results[name]["n"] == 4
    assert "success_difference" in done.stdout
    for options, told in (
        ("--run nowhere", "nowhere holds no finished run"),
        ("--max_words 0", "--max_words must be at least 1, not 0"),
    ):
        refused = run_here("compare_seq2sick.py", *options.split())
        assert refused.returncode == 2 and told in refused.stderr.splitlines()[-1]


def test_another_victim_is_refused(run_here, tmp_path):
    assert run_here("seq2sick_baselines.py", "--max_samples", "1", "--tries", "1", env=CPU).returncode == 0
    folder = tmp_path / "runs" / "other"
    (tmp_path / "runs" / "seq2sick_baselines").rename(folder)
    assert run_here("seq2sick_baselines.py", "--max_samples", "1", "--tries", "1", env=CPU).returncode == 0
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["fingerprint"]["victim"] = "another"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    done = run_here("compare_seq2sick.py", "--run", str(folder))
    assert done.returncode == 2 and "attacked different victims" in done.stderr.splitlines()[-1]
