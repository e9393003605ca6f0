"""Adversarial training end to end: published and loaded back with the same table, killed and resumed, mistakes."""

import filecmp
import json
import re
import signal
import time

import forked
import pytest
from hub import LocalHub
from negotiators import WORDS, tiny_agent
from safetensors.torch import load_file

SHORT = (
    "--max_samples 24 --rl_dialogues 8 --rl_batch_size 4 --validate_every 4 --validation_dialogues 4 --rounds 2 "
    "--round_dialogues 8 --reactive_every 1 --reactive_words 3 --evaluated_dialogues 8 --max_turns 4 "
    "--min_agreement 0"
).split()


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agents")
    for name, seed in (("target", 0), ("partner", 1)):
        tiny_agent(seed, temperature=1.0, max_words=5).float().save_pretrained(folder / name)
    tiny_agent(2, words=[*WORDS, "more"]).float().save_pretrained(folder / "stranger")
    return folder


def options(agents, folder, *more):
    names = ["--model_name_or_path", agents / "target", "--partner_name_or_path", agents / "partner"]
    return [str(one) for one in (*names, "--output_dir", folder, *SHORT, *more)]


@pytest.fixture(scope="module")
def whole(agents, tmp_path_factory):
    """A finished hardening, made as a user would, by two processes, and the Hub that it was published to."""
    folder = tmp_path_factory.mktemp("hardened") / "agent"
    with LocalHub() as hub:
        env = {"ACCELERATE_USE_CPU": "true"} | hub.environment(folder.parent / "home")
        given = options(agents, folder, "--push_to_hub", "--hub_model_id", "me/agent")
        first, second = forked.together(2, "harden_negotiator.py", *given, env=env)
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert f"published: {hub.url}/me/agent" in first.stdout and not second.stdout
        yield folder, hub


def test_the_folder_tells_before_and_after(whole):
    folder, _ = whole
    results = json.loads((folder / "results.json").read_text())
    attacks = {f"advantage_{name}" for name in ("rl", "reactive", "adaptive")}
    measured = attacks | {"agreement", "score", "partner_score", "perplexity", "exact_selection"}
    assert measured | {f"{name}_before" for name in measured} | {"advantage_fresh"} <= set(results)
    assert all(results[name]["n"] == 8 for name in attacks) and results["agreement"]["n"] == 5 * 8
    rounds = json.loads((folder / "rounds.json").read_text())
    assert rounds["chosen"] in (1, 2) and len(rounds["payoffs"]) == 3
    kept = load_file(folder / f"round-{rounds['chosen']}" / "target" / "best" / "model.safetensors")
    assert all((kept[name] == values).all() for name, values in load_file(folder / "model.safetensors").items())
    for name in attacks:
        run = json.loads((folder / "after" / name.removeprefix("advantage_") / "results.json").read_text())
        assert run["advantage"] == results[name]
    card = (folder / "README.md").read_text()
    assert "# A negotiation agent, hardened" in card and "harden_negotiator.py" in card
    found = results["advantage_adaptive"]
    assert re.search(rf"\| Advantage of Algorithm 7 \| .* \| {found['value']:.2f} \[", card), "before and after"


def test_loaded_back_by_its_id_it_gives_the_same_table(whole, agents, tmp_path, run_script, run_here):
    """One attack on the agent of the Hub, the others on its folder, where the same files lie."""
    folder, hub = whole
    files = hub.files("models/me/agent")
    assert all((folder / name).read_bytes() == data for name, data in files.items() if name != ".gitattributes")
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= {*files}
    assert not any("/" in path for path in files), "no training goes with it"
    results = json.loads((folder / "results.json").read_text())
    rounds = json.loads((folder / "rounds.json").read_text())
    adversaries = {
        "rl": folder / f"round-{rounds['hardest']}" / "adversary" / "best",
        "fresh": folder / "fresh" / "best",
    }
    for name, target in {"rl": "me/agent", "fresh": str(folder), "adaptive": str(folder)}.items():
        command = ["--attack", "rl" if name == "fresh" else name, "--max_samples", "8", "--max_turns", "4"]
        command += ["--model_name_or_path", target, "--speaker_name_or_path", str(agents / "partner")]
        command += ["--adversary_name_or_path", str(adversaries.get(name, "")), "--output_dir", str(tmp_path / name)]
        run = run_script if target == "me/agent" else run_here
        env = hub.environment(tmp_path / "home") if target == "me/agent" else {}
        done = run("attack_negotiator.py", *command, env=env)
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / name / "results.json").read_text())["advantage"]
        assert found == results[f"advantage_{name}"]


def test_killed_and_started_again(agents, tmp_path, run_here):
    """`kill -9` in a round, then the same command: the weights of an uninterrupted run, bit by bit."""
    once, cut = tmp_path / "once", tmp_path / "cut"
    one_round = ("--rounds", "1", "--evaluated_attacks", "reactive")
    assert run_here("harden_negotiator.py", *options(agents, once, *one_round)).returncode == 0
    process = forked.start("harden_negotiator.py", *options(agents, cut, *one_round))
    deadline = time.monotonic() + 200
    while not list(cut.glob("round-1/target/checkpoint-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(cut.glob("round-1/target/checkpoint-*")), "killed in the first round"
    done = run_here("harden_negotiator.py", *options(agents, cut, *one_round))
    assert done.returncode == 0, done.stderr
    assert filecmp.cmp(cut / "model.safetensors", once / "model.safetensors", shallow=False)
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (cut, once))
    assert first == second
    again = run_here("harden_negotiator.py", *options(agents, once, *one_round))
    assert again.returncode == 0 and "already finished" in again.stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("--rounds 0", "--rounds must be at least 1"),
        ("--min_agreement 85", "--min_agreement is a share from 0 to 1"),
        ("--evaluated_attacks rl sneaky", "there is no sneaky"),
        ("--split train", "is what is learnt from"),
        ("--partner_name_or_path {stranger}", "have different vocabularies"),
        ("--model_name_or_path ./nowhere", "no negotiation agent that can be loaded"),
    ],
)
def test_mistakes_get_one_line(more, told, agents, tmp_path, run_here):
    done = run_here(
        "harden_negotiator.py", *options(agents, tmp_path / "run"), *more.format(stranger=agents / "stranger").split()
    )
    assert done.returncode == 2 and told in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run" / "results.json").exists()
