"""Training a negotiation agent in both stages: what the folder holds, resume, and what is refused."""

import filecmp
import json
import signal
import time

import forked
import pytest
import torch
from hub import LocalHub
from safetensors.torch import load_file
from transformers import AutoTokenizer

from dialogue.agent import NegotiationAgent
from dialogue.simulator import corpus

SIZES = "--embedding_size 8 --context_size 4 --hidden_size 8 --selection_size 8 --rarest 0".split()
SHORT = [*SIZES, *"--max_samples 60 --max_steps 6 --save_steps 3 --logging_steps 3".split()]
RL = "--stage reinforce --rl_dialogues 16 --rl_batch_size 4 --validate_every 8 --validation_dialogues 6".split()


@pytest.fixture(scope="module")
def supervised(tmp_path_factory):
    """A folder with a hardly trained agent, made as a user would."""
    folder = tmp_path_factory.mktemp("agents") / "sv"
    done = forked.run("train_negotiator.py", "--output_dir", folder, *SHORT)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_supervised_agent_is_ready_for_use(supervised):
    results = json.loads((supervised / "results.json").read_text())
    assert set(results) == {"perplexity", "selection_perplexity", "exact_selection", "cpu_seconds"}
    assert 0 < results["cpu_seconds"] < 300
    assert 1 < results["perplexity"]["value"] < 62 and results["exact_selection"]["n"] > 500
    agent = NegotiationAgent.from_pretrained(supervised)
    assert agent.config.hidden_size == 8 and "hat" in agent.vocabulary
    assert AutoTokenizer.from_pretrained(supervised).convert_ids_to_tokens([0, 2]) == ["<eos>", "<selection>"]
    card = (supervised / "README.md").read_text()
    assert "# A negotiation agent, supervised" in card and "model-index" in card and "train_negotiator.py" in card


def test_the_same_command_again_is_finished_and_another_is_refused(supervised, run_here):
    before = (supervised / "model.safetensors").read_bytes()
    again = run_here("train_negotiator.py", "--output_dir", str(supervised), *SHORT)
    assert again.returncode == 0 and "already finished" in again.stdout and "perplexity" in again.stdout
    other = run_here("train_negotiator.py", "--output_dir", str(supervised), *SHORT, "--dropout", "0.1")
    assert other.returncode == 2 and "dropout 0.5 there, 0.1 here" in other.stderr.splitlines()[-1]
    assert (supervised / "model.safetensors").read_bytes() == before


def test_calibration_scales_what_words_come_of_and_nothing_else(supervised, tmp_path, run_here):
    done = run_here("train_negotiator.py", "--output_dir", str(tmp_path), *SHORT, "--calibrate", "false")
    assert done.returncode == 0, done.stderr
    calibrated, plain = (load_file(folder / "model.safetensors") for folder in (supervised, tmp_path))
    others = {name for name in plain if not torch.equal(calibrated[name], plain[name])}
    assert others and others <= {"output.weight", "output.bias"}
    scale = calibrated["output.weight"] / plain["output.weight"]
    assert float(scale.std()) < 1e-5 and 0.5 <= float(scale.mean()) <= 2 and float((scale - 1).abs().mean()) > 0.01


def test_published_and_loaded_back_bit_equal(supervised, tmp_path, run_script):
    """The finished folder is pushed with its card; another process loads the agent by its id."""
    load = (
        "import sys; from dialogue.loading import load_agent; load_agent('me/negotiator').save_pretrained(sys.argv[1])"
    )
    publish = ["--output_dir", str(supervised), *SHORT, "--push_to_hub", "--hub_model_id", "me/negotiator"]
    with LocalHub() as hub:
        env = hub.environment(tmp_path / "home")
        done = run_script("train_negotiator.py", *publish, env=env)
        assert done.returncode == 0, done.stderr
        assert f"published: {hub.url}/me/negotiator" in done.stdout
        loaded = forked.run("-c", load, tmp_path / "loaded", env=env)
        assert loaded.returncode == 0, loaded.stderr
        files = hub.files("models/me/negotiator")
    weights = [load_file(folder / "model.safetensors") for folder in (supervised, tmp_path / "loaded")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert files["README.md"] == (supervised / "README.md").read_bytes() and "tokenizer.json" in files
    assert "manifest.json" not in files and not any("checkpoint" in path for path in files)


def test_a_push_without_network_says_so_and_loses_nothing(supervised, run_script):
    env = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_of_a_test"}
    done = run_script("train_negotiator.py", "--output_dir", str(supervised), *SHORT, "--push_to_hub", env=env)
    assert done.returncode == 2 and (supervised / "model.safetensors").exists()
    last = done.stderr.splitlines()[-1]
    assert last.startswith("train_negotiator.py: error: sv can't be published") and "hf_of_a_test" not in last
    assert "HF_TOKEN and the network" in last


def test_reinforcement(supervised, tmp_path, run_here):
    options = ["--model_name_or_path", str(supervised), "--max_samples", "60", *RL]
    folder = tmp_path / "rl"
    done = run_here("train_negotiator.py", "--output_dir", str(folder), *options)
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "results.json").read_text())
    assert {"agreement", "score", "partner_score", "perplexity", "distinct_utterances"} <= set(results)
    assert results["score"]["n"] == len({view.scenario for view in corpus("test")})
    assert 0 <= results["score"]["value"] <= 10
    assert "# A negotiation agent, reinforce" in (folder / "README.md").read_text()
    agents = [NegotiationAgent.from_pretrained(one) for one in (supervised, folder)]
    assert agents[0].vocabulary == agents[1].vocabulary
    best, last = (load_file(next(folder.glob(f"{name}/model.safetensors"))) for name in ("best", "checkpoint-4"))
    kept = agents[1].state_dict()
    assert all(torch.equal(best[name], kept[name]) for name in kept), "the best on validation"
    assert not torch.equal(last["embedding.weight"], agents[0].embedding.weight), "something was learnt"
    assert not torch.equal(last["heads.weight"], agents[0].heads.weight), "from the corpus too"


@pytest.mark.parametrize("stage", ["supervised", "reinforce"])
def test_killed_and_started_again(stage, supervised, tmp_path, run_here):
    """`kill -9` in the middle, then the same command: the weights of an uninterrupted run, bit by bit."""
    options = [*SHORT, "--max_steps", "12"] if stage == "supervised" else ["--max_samples", "60", *RL]
    options += ["--model_name_or_path", str(supervised)] if stage == "reinforce" else []
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run_here("train_negotiator.py", "--output_dir", str(whole), *options).returncode == 0
    process = forked.start("train_negotiator.py", "--output_dir", cut, *options)
    mark = "checkpoint-*/trainer_state.json" if stage == "supervised" else "checkpoint-*/state.json"
    deadline = time.monotonic() + 200
    while not list(cut.glob(mark)) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(cut.glob(mark)), "killed after a checkpoint"
    (cut / "results.json").unlink(missing_ok=True)  # it may have been quicker than we
    done = run_here("train_negotiator.py", "--output_dir", str(cut), *options)
    assert done.returncode == 0, done.stderr
    assert filecmp.cmp(cut / "model.safetensors", whole / "model.safetensors", shallow=False)
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (cut, whole))
    assert 0 < first.pop("cpu_seconds") < 300 and second.pop("cpu_seconds") > 0
    assert first == second


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model_name_or_path", "x"], "--stage reinforce or attack"),
        (["--split", "train"], "is what is learnt from"),
        (["--split", "dev"], "no split 'dev' in the embedded data set"),
        (["--dropout", "1"], "--dropout must be at least 0 and below 1"),
        (["--dataset_name", "./nowhere"], "is no file or folder"),
        (["--stage", "reinforce", "--model_name_or_path", "./nowhere"], "no negotiation agent that can be loaded"),
    ],
)
def test_mistakes_get_one_line(options, told, run_here):
    done = run_here("train_negotiator.py", *options)
    assert done.returncode == 2 and told in done.stderr.splitlines()[-1]
