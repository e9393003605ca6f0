"""`train_seq2seq.py` as users run it, on models of a few thousand parameters."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from hub import LocalHub
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
TINY = (
    "--max_samples 150 --max_eval_samples 4 --max_length 40 --d_model 8 --num_layers 1 --num_heads 2 "
    "--ffn_dim 8 --num_beams 2 --max_new_tokens 8 --max_steps 4 --save_steps 2 --warmup_steps 1 "
    "--per_device_train_batch_size 16"
).split()


def train(*options: str | Path, env: dict[str, str] | None = None):
    return forked.run("train_seq2seq.py", *options, env=env)


@pytest.fixture
def train_here(run_here):
    """`train` in the process of the tests."""
    return lambda *options: run_here("train_seq2seq.py", *map(str, options), env={"ACCELERATE_USE_CPU": "true"})


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = train("--output_dir", folder, *TINY)
    assert done.returncode == 0, done.stderr
    assert "BLEU" in done.stdout and "on 4 sentences" in done.stdout
    return folder


def test_the_folder_is_a_model(trained):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(trained)
    tokenizer = AutoTokenizer.from_pretrained(trained)
    assert (model.config.d_model, model.config.vocab_size) == (8, len(tokenizer))
    assert (model.generation_config.num_beams, model.generation_config.max_new_tokens) == (2, 8)
    assert tokenizer.model_max_length == model.config.max_position_embeddings == 40
    results = json.loads((trained / "results.json").read_text())
    assert set(results) == {"bleu", "rouge_l"}
    for score in results.values():
        assert set(score) == {"value", "low", "high", "n"} and score["n"] == 4
    manifest = json.loads((trained / "manifest.json").read_text())
    assert manifest["config"]["max_steps"] == 4 and set(manifest["fingerprint"]) == {"train", "test"}
    card = (trained / "README.md").read_text()
    assert "--max_steps 4" in card and "type: sacrebleu" in card
    assert {path.name for path in trained.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}
    assert not list(trained.glob("*.bin"))  # no pickle among what is published


def test_the_papers_lstm_word_by_word(tmp_path, train_here, run_here):
    """It starts from given vectors, stops and resumes, and is loaded by its folder elsewhere."""
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("man 0.1 0.2 0.3 0.4\nwoman 0.4 0.3 0.2 0.1\n")
    folder = tmp_path / "lstm"
    options = [
        "--output_dir",
        folder,
        *TINY,
        "--architecture",
        "lstm",
        "--tokenizer",
        "word",
        "--word_vectors",
        vectors,
    ]
    done = train_here(*options)
    assert done.returncode == 0, done.stderr
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["embedding_size"], config["d_model"]) == ("lstm_seq2seq", 4, 8)
    (folder / "results.json").unlink()
    before = load_file(folder / "model.safetensors")
    assert train_here(*options).returncode == 0
    after = load_file(folder / "model.safetensors")
    assert all((before[name] == after[name]).all() for name in before)
    attack = ["--model_name_or_path", str(folder), "--output_dir", "attack", "--max_samples", "2"]
    attack += ["--steps", "1", "--refine_rounds", "1", "--max_new_tokens", "6"]
    done = run_here("seq2sick.py", *attack, env={"ACCELERATE_USE_CPU": "true"})
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "attack" / "results.json").read_text())["success"]["n"] == 2


def test_several_data_sets_are_learnt_from_together(tmp_path, train_here):
    rows = [{"source": f"sentence number {i}", "target": f"number {i}"} for i in range(9)]
    for name, some in (("one", rows[:6]), ("two", rows[6:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    options = ["--dataset_name", tmp_path / "one.jsonl", "--extra_datasets", tmp_path / "two.jsonl", *TINY]
    options += ["--vocab_size", "100", "--max_steps", "1", "--newswire", "true"]
    done = train_here("--output_dir", tmp_path / "model", *options)
    assert done.returncode == 2 and "'test', is what is learnt from" in done.stderr, "one file holds one split"
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "one.jsonl").rename(folder / "train.jsonl")
    (folder / "test.jsonl").write_text(json.dumps({"source": "a sentence", "target": "none"}) + "\n")
    options[1] = folder
    done = train_here("--output_dir", tmp_path / "model", *options)
    assert done.returncode == 0, done.stderr
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert tokenizer.unk_token_id not in tokenizer("SENTENCE number 8").input_ids


def test_a_finished_training_is_left_alone(trained, train_here):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    done = train_here("--output_dir", trained, *TINY)
    assert done.returncode == 0 and "already finished" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in trained.rglob("*")}


def test_another_configuration_is_refused(trained, train_here):
    done = train_here("--output_dir", trained, *TINY, "--learning_rate", "0.5")
    assert done.returncode == 2
    assert "holds another run" in done.stderr.splitlines()[-1] and "learning_rate" in done.stderr.splitlines()[-1]


def test_an_interrupted_training_ends_like_an_uninterrupted_one(trained, tmp_path, train_here):
    """What a kill leaves: a manifest, a whole checkpoint, and a torn one, whose state was never written."""
    shutil.copy(trained / "manifest.json", tmp_path)
    shutil.copytree(trained / "checkpoint-2", tmp_path / "checkpoint-2")
    shutil.copytree(trained / "checkpoint-4", tmp_path / "checkpoint-4")
    (tmp_path / "checkpoint-4" / "trainer_state.json").unlink()
    (tmp_path / "checkpoint-4" / "model.safetensors").write_bytes(b"torn")
    done = train_here("--output_dir", tmp_path, *TINY)
    assert done.returncode == 0, done.stderr
    expected, weights = load_file(trained / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert expected.keys() == weights.keys()
    assert all(weights[name].equal(expected[name]) for name in expected)
    assert (tmp_path / "tokenizer.json").read_bytes() == (trained / "tokenizer.json").read_bytes()
    assert (tmp_path / "results.json").read_bytes() == (trained / "results.json").read_bytes()


def test_published_and_loaded_back(trained, tmp_path):
    """The finished folder is pushed; another process loads the model by its id and gets the same weights."""
    load = "import sys; from transformers import AutoModelForSeq2SeqLM as A, AutoTokenizer as T; "
    load += "A.from_pretrained('me/tiny').save_pretrained(sys.argv[1]); T.from_pretrained('me/tiny')"
    with LocalHub() as hub:
        env = hub.environment(tmp_path / "home")
        done = train("--output_dir", trained, *TINY, "--push_to_hub", "--hub_model_id", "me/tiny", env=env)
        assert done.returncode == 0, done.stderr
        assert f"published: {hub.url}/me/tiny" in done.stdout
        loaded = forked.run("-c", load, tmp_path / "loaded", env=env)
        assert loaded.returncode == 0, loaded.stderr
        files = hub.files("models/me/tiny")
    expected, weights = (
        load_file(trained / "model.safetensors"),
        load_file(tmp_path / "loaded" / "model.safetensors"),
    )
    assert all(weights[name].equal(expected[name]) for name in expected)
    assert files["README.md"] == (trained / "README.md").read_bytes()
    assert "manifest.json" not in files and not any("checkpoint" in path for path in files)


def test_a_push_without_network_says_so(trained):
    env = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_of_a_test"}
    done = train("--output_dir", trained, *TINY, "--push_to_hub", "--hub_model_id", "me/tiny", env=env)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("train_seq2seq.py: error: me/tiny can't be published") and "hf_of_a_test" not in last


def test_fine_tuning_under_mixed_precision(trained, tmp_path):
    """`accelerate launch`, bf16, an own data set, and the weights of another run to start from."""
    rows = [{"en": f"Two dogs are running {'very ' * i}fast.", "de": "Zwei Hunde laufen."} for i in range(40)]
    data = tmp_path / "data"
    data.mkdir()
    for split, part in {"train": rows[:30], "validation": rows[30:]}.items():
        (data / f"{split}.jsonl").write_text("\n".join(map(json.dumps, part)))
    options = ["--dataset_name", data, "--split", "validation", "--source_column", "en", "--target_column", "de"]
    options += ["--model_name_or_path", trained, *"--max_steps 2 --max_new_tokens 4 --num_beams 1".split()]
    launch = "-m accelerate.commands.accelerate_cli launch --mixed_precision bf16 --num_processes 1 --num_machines 1"
    script = [ROOT / "scripts" / "train_seq2seq.py", "--output_dir", tmp_path / "tuned", *options]
    command = [sys.executable, *launch.split(), "--dynamo_backend", "no", *script]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "tuned" / "manifest.json").read_text())
    assert manifest["precision"] == "bf16"
    old, new = load_file(trained / "model.safetensors"), load_file(tmp_path / "tuned" / "model.safetensors")
    assert (tmp_path / "tuned" / "tokenizer.json").read_bytes() == (trained / "tokenizer.json").read_bytes()
    assert all(new[name].shape == old[name].shape and str(new[name].dtype) == "torch.float32" for name in old)
    assert any(not new[name].equal(old[name]) for name in old)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--dataset_name ./nothing", "./nothing is no file or folder; give a path that exists"),
        ("--train_split dev", "no split 'dev' in the embedded data set; there are train, validation, test"),
        ("--source_column en", "no column 'en' in the embedded data set; there are source, target"),
        ("--target_column none", "training needs references; name their --target_column"),
        ("--max_samples 0", "zero samples"),
        ("--split train", "the split to score, 'train', is what is learnt from; give another --split"),
        ("--d_model 0", "--d_model must be at least 1, not 0"),
        ("--seed -1", "--seed must be at least 0"),
        ("--output_dir /proc/nowhere", "cannot write to /proc/nowhere"),
    ],
)
def test_mistakes_get_one_line(options, message, tmp_path, train_here):
    done = train_here("--output_dir", tmp_path, *options.split())
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("train_seq2seq.py: error: ") and "Traceback" not in done.stderr
    assert message in done.stderr.splitlines()[-1]


def test_help_needs_no_torch(run_python, tmp_path):
    """A package named torch that cannot be imported stands in the way; so does one named datasets."""
    for name in ("torch", "datasets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    shown = run_python("train_seq2seq.py", "--help", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert shown.returncode == 0, shown.stderr
    assert "\n    python scripts/train_seq2seq.py\n" in shown.stdout


def test_multi30k(data_dir, tmp_path, train_here):
    """Two steps on real data: 1,500 pairs, a byte-pair vocabulary, a T5 this time."""
    options = ["--dataset_name", data_dir / "multi30k", "--source_column", "en", "--target_column", "de"]
    options += [*TINY, "--architecture", "t5", "--max_samples", "1500", "--max_steps", "2"]
    done = train_here("--output_dir", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["model_type"], config["vocab_size"]) == ("t5", 1000)
