"""scripts/seq2sick_baselines.py as users run it, on the embedded victim; its claims are checked from its records."""

import json

import pytest

from textadv.configs import VictimConfig
from textadv.victim import Victim
from textadv.words import contains_words, shares_no_position, split_words

BASELINES = ("random_words", "word_importance", "gradient_swaps", "gumbel", "nearest_neighbor")
QUICK = (
    "--max_samples 4 --per_device_batch_size 2 --max_words 2 --tries 20 --word_candidates 4 --swap_steps 2 "
    "--swap_candidates 16 --gumbel_steps 4 --gumbel_tries 10 --initial_coefficient 1.5 "
    "--continuous_steps 4"
).split()
CPU = {"ACCELERATE_USE_CPU": "true"}


@pytest.mark.parametrize("baseline", BASELINES)
def test_claims_hold_within_the_budget(baseline, run_script, run_here, tmp_path):
    """And the same command again finds nothing left to do."""
    goal = "keywords" if baseline == "gumbel" else "non_overlapping"
    options = ["--baseline", baseline, "--goal", goal, "--output_dir", "out", *QUICK]
    run = run_script if baseline == "random_words" else run_here
    done = run("seq2sick_baselines.py", *options, env=CPU)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out"
    assert {path.name for path in folder.iterdir()} == {
        "records.jsonl", "results.json", "manifest.json", "report.html"
    }  # fmt: skip
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    victim = Victim.from_pretrained(VictimConfig())
    for i, row in enumerate(rows):
        [clean], [output] = victim.generate([row["original"]]), victim.generate([row["adversarial"]])
        assert (row["example_id"], clean, output) == (i, row["clean_output"], row["adversarial_output"])
        met = contains_words(output, row["keywords"]) if goal == "keywords" else shares_no_position(clean, output)
        assert row["success"] == met
        pairs = zip(split_words(row["original"]), split_words(row["adversarial"]), strict=True)
        assert row["changed_words"] == sum(a != b for a, b in pairs) <= 2
        assert row["queries"] > 1 and len(row["keywords"]) == (goal == "keywords")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["config"]["baseline"], manifest["config"]["max_words"]) == (baseline, 2)
    assert set(manifest["fingerprint"]) == {"dataset", "victim", "vocabulary", "keyword pool"}
    assert f"<h1>{baseline.replace('_', ' ').capitalize()} against" in (folder / "report.html").read_text("utf-8")
    before = (folder / "records.jsonl").read_bytes()
    if baseline == "random_words":  # a process costs seconds: once is enough
        assert run_here("seq2sick_baselines.py", *options, env=CPU).returncode == 0
        assert (folder / "records.jsonl").read_bytes() == before
        limits = ["--max_words", "3", "--protect_stop_words"]
        refused = run_here("seq2sick_baselines.py", *options, *limits, env=CPU)
        assert refused.returncode == 2 and "max_words 2 there, 3 here" in refused.stderr
        assert "protect_stop_words false there, true here" in refused.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--max_words 0", "--max_words must be at least 1, not 0"),
        ("--max_perplexity_ratio 2", "needs a language model; name one by --perplexity_model"),
        ("--temperature 0", "--temperature must be a positive number, not 0"),
        ("--continuous_steps -1", "--continuous_steps must be at least 0, not -1"),
        ("--keep_weight nan", "--keep_weight must be a number of at least 0, not nan"),
        ("--baseline word_importance --whole_words false", "word_importance ranks whole words; leave out --whole"),
        ("--baseline seq2sick", "invalid choice: 'seq2sick'"),
    ],
)
def test_mistakes_get_one_line(options, told, run_here, tmp_path):
    done = run_here("seq2sick_baselines.py", *options.split())
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("seq2sick_baselines.py: error: ") and told in line
    assert not list(tmp_path.iterdir())
