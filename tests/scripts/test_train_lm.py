"""`train_lm.py` as users run it, on models of a few thousand parameters; but for one, in this process."""

import filecmp
import json
import os
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "train_lm.py"
TINY = (
    "--max_samples 150 --max_eval_samples 6 --max_length 40 --d_model 8 --num_layers 1 --num_heads 2 --ffn_dim 8 "
    "--max_steps 4 --save_steps 2 --warmup_steps 1 --per_device_train_batch_size 16"
).split()


@pytest.fixture(scope="module")
def train() -> Callable[..., int]:
    """Runs the script in this process; returns the exit code."""
    from accelerate.state import AcceleratorState

    def run(*options: str | Path) -> int:
        before, os.environ["ACCELERATE_USE_CPU"] = sys.argv, "true"
        AcceleratorState._reset_state(reset_partial_state=True)
        sys.argv = [str(SCRIPT), *map(str, options)]
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            sys.argv = before
            del os.environ["ACCELERATE_USE_CPU"]
            AcceleratorState._reset_state(reset_partial_state=True)
        return 0

    return run


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    assert train("--output_dir", folder, *TINY) == 0
    return folder


def test_the_folder_is_a_language_model_of_the_score_that_it_claims(trained):
    from textadv.grammar import generate
    from textadv.language_model import LanguageModel

    model = LanguageModel.from_pretrained(str(trained))
    assert (model.model.config.n_embd, model.longest) == (8, 40)
    score = json.loads((trained / "results.json").read_text())["perplexity"]
    texts = [pair["source"] for pair in generate("test", 200)][:6]
    assert score["value"] == pytest.approx(model.likelihoods(texts).perplexity, rel=1e-5)
    assert score["n"] == 6 and score["low"] < score["value"] < score["high"]
    manifest = json.loads((trained / "manifest.json").read_text())
    assert manifest["config"]["max_steps"] == 4 and set(manifest["fingerprint"]) == {"train", "test"}
    card = (trained / "README.md").read_text()
    assert "python scripts/train_lm.py" in card and "--max_steps 4" in card
    assert "type: perplexity" in card and "text-generation" in card and "BLEU" not in card and "beams" not in card
    assert {path.name for path in trained.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}


def test_a_finished_training_is_left_alone(trained, train, capsys):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    assert train("--output_dir", trained, *TINY) == 0
    out = capsys.readouterr().out
    assert "already finished" in out and "Perplexity" in out and "on 6 sentences" in out
    assert before == {path: path.stat().st_mtime_ns for path in trained.rglob("*")}


def test_an_interrupted_training_ends_like_an_uninterrupted_one(trained, train, tmp_path):
    """What a kill leaves: a manifest and a whole checkpoint."""
    shutil.copy(trained / "manifest.json", tmp_path)
    shutil.copytree(trained / "checkpoint-2", tmp_path / "checkpoint-2")
    assert train("--output_dir", tmp_path, *TINY) == 0
    for name in ("results.json", "model.safetensors"):
        assert filecmp.cmp(tmp_path / name, trained / name, shallow=False)


def test_target_sentences_of_files_on_from_a_model(trained, train, tmp_path):
    """Blank lines are left out; the other column needn't be there."""
    data = tmp_path / "data"
    data.mkdir()
    for split, count in {"train": 20, "test": 4}.items():
        rows = [{"de": f"{split} Zwei Hunde laufen {'sehr ' * i}schnell."} for i in range(count)] + [{"de": " "}]
        (data / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ["--dataset_name", data, "--side", "target", "--target_column", "de", "--model_name_or_path", trained]
    assert train("--output_dir", tmp_path / "tuned", *options, "--max_steps", "2") == 0
    assert json.loads((tmp_path / "tuned" / "results.json").read_text())["perplexity"]["n"] == 4
    assert (tmp_path / "tuned" / "tokenizer.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--learning_rate 0.5", "holds another run: "),
        ("--source_column en --output_dir out", "no column 'en' in the embedded data set; there are source, target"),
        ("--side target --target_column none --output_dir out", "--side target needs a column; name it by"),
        ("--split train --output_dir out", "the split to score, 'train', is what is learnt from; give another"),
        ("--max_samples 0 --output_dir out", "zero samples: at least 1 is needed, not 0"),
        ("--d_model 0 --output_dir out", "--d_model must be at least 1, not 0"),
        ("--model_name_or_path ./nothing --output_dir out", "./nothing is neither a folder here nor a model that"),
    ],
)
def test_mistakes_get_one_line(options, message, trained, train, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train("--output_dir", trained, *TINY, *options.split()) == 2
    last = capsys.readouterr().err.rstrip("\n").split("\n")[-1]
    assert last.startswith("train_lm.py: error: ") and message in last


def test_help_needs_no_torch(tmp_path, run_python):
    """Packages of those names that cannot be imported stand in the way."""
    for name in ("torch", "datasets", "evaluate"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    shown = run_python("train_lm.py", "--help", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert shown.returncode == 0, shown.stderr
    assert "\n    python scripts/train_lm.py\n" in shown.stdout
