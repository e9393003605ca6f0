"""scripts/score_seq2seq.py as users run it, on the embedded victim, against sacreBLEU on its records."""

import json

import pytest
import sacrebleu

CPU = {"ACCELERATE_USE_CPU": "true"}


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]


def test_the_score_is_that_of_the_recorded_outputs(run_here, tmp_path):
    """As sacreBLEU has it; a run that was cut off goes on, and another one's folder is refused."""
    options = ["--max_samples", "6", "--per_device_batch_size", "4", "--output_dir", "out"]
    done = run_here("score_seq2seq.py", *options, env=CPU)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    rows, results = lines(out), json.loads((out / "results.json").read_bytes())
    outputs, references = [row["output"] for row in rows], [row["reference"] for row in rows]
    assert results["bleu"]["value"] == pytest.approx(sacrebleu.corpus_bleu(outputs, [references]).score)
    assert results["bleu"]["n"] == results["rouge_l"]["n"] == 6 and results["seconds"] > 0
    whole = (out / "records.jsonl").read_bytes()
    (out / "records.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:4]) + b'{"torn')
    assert run_here("score_seq2seq.py", *options, env=CPU).returncode == 0
    assert [row["output"] for row in lines(out)] == outputs
    refused = run_here("score_seq2seq.py", *options, "--num_beams", "1", env=CPU)
    assert refused.returncode == 2 and "num_beams 5 there, 1 here" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--target_column none", "a score needs references; name their --target_column"),
        ("--source_column en", "no column 'en' in the embedded data set; there are source, target"),
        ("--max_samples 0", "--max_samples must be at least 1, not 0"),
        ("--model_name_or_path nowhere/at/all", "nowhere/at/all"),
    ],
)
def test_mistakes_get_one_line(run_here, tmp_path, options, told):
    done = run_here("score_seq2seq.py", *options.split(), env=CPU)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("score_seq2seq.py: error: ") and told in last and "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
