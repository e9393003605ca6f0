"""scripts/attack_negotiator.py: the embedded default, every attack on tiny agents, resume, and mistakes."""

import json

import pytest
import torch
from negotiators import WORDS, tiny_agent, tiny_chat_model

from dialogue.domain import Scenario
from dialogue.loading import load_agent
from dialogue.selfplay import taken
from dialogue.types import Utterances
from textadv.data import EMBEDDED_VICTIM

ATTACKS = ["rl", "transfer", "reactive", "preemptive", "adaptive", "adaptive --fallback transfer"]


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agents")
    for name, seed in (("target", 0), ("other", 1)):
        tiny_agent(seed, temperature=2.0).float().save_pretrained(folder / name)
    tiny_agent(2, words=[*WORDS, "more"]).float().save_pretrained(folder / "stranger")
    for part in tiny_chat_model():
        part.save_pretrained(folder / "chat")
    return folder


def records_of(folder):
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_the_embedded_target_loses(tmp_path, run_here):
    """The README's command, on fewer dialogues."""
    options = ["--max_samples", "20", "--output_dir", str(tmp_path / "run")]
    done = run_here("attack_negotiator.py", *options)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["advantage"]["n"] == 20 and results["advantage"]["value"] >= 3
    assert results["special_tokens"]["value"] == 0 and results["changed_words"]["value"] <= 2
    assert results["par"]["value"] == results["success"]["value"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count('class="talk panel') == 20 and "Adaptive attack on the embedded RL agent" in page
    assert "<ins>" in page and "without it the target could say" in page and "Here the deal turned" in page


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_resumes(attack, agents, tmp_path, run_here):
    options = ["--attack", *attack.split(), "--max_samples", "20", "--max_turns", "4", "--target_decoding", "sample"]
    options += ["--search", "pad_greedy", "--per_device_batch_size", "8", "--replies", "2"]
    options += ["--model_name_or_path", str(agents / "target"), "--adversary_name_or_path", str(agents / "other")]
    done = run_here("attack_negotiator.py", *options, "--output_dir", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    rows = records_of(tmp_path / "run")
    assert len(rows) == 20 and all(row["success"] == (row["score"] > row["partner_score"]) for row in rows)
    lines = (tmp_path / "run" / "records.jsonl").read_text().splitlines()
    (tmp_path / "run" / "records.jsonl").write_text("\n".join(lines[:11]) + '\n{"torn')
    assert run_here("attack_negotiator.py", *options, "--output_dir", str(tmp_path / "run")).returncode == 0
    assert records_of(tmp_path / "run") == rows
    if "transfer" in attack:
        sentences = json.loads((tmp_path / "run" / "sentences.json").read_text())
        said = {text for row in rows for text in row["turns"]}
        assert said & {*sentences}


def test_a_chat_model_is_attacked_as_a_black_box(agents, tmp_path, run_here):
    options = ["--attack", "rl", "--model_name_or_path", str(agents / "chat"), "--max_samples", "6"]
    options += ["--adversary_name_or_path", str(agents / "other"), "--speaker_name_or_path", str(agents / "target")]
    done = run_here("attack_negotiator.py", *options, "--max_turns", "2", "--output_dir", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    rows = records_of(tmp_path / "run")
    assert len(rows) == 6 and any(len(row["turns"]) > 2 for row in rows)
    for row in rows:
        rest = [count - taken for count, taken in zip(row["counts"], row["partner_choice"], strict=False)]
        assert row["choice"] == rest, "what the target leaves, or nothing"


def test_a_surrogate_is_looked_into_and_the_target_decides(agents, tmp_path, run_here):
    options = ["--attack", "preemptive", "--max_samples", "30", "--max_turns", "4", "--search", "pad_greedy"]
    options += ["--model_name_or_path", str(agents / "target"), "--speaker_name_or_path", str(agents / "other")]
    found = {}
    for name, more in {"white box": [], "itself": ["target"], "another": ["other"]}.items():
        more = ["--surrogate_name_or_path", str(agents / more[0])] if more else []
        done = run_here("attack_negotiator.py", *options, *more, "--output_dir", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        found[name] = records_of(tmp_path / name)
    assert found["itself"] == found["white box"]
    attacked = [[kind == "preemptive" for row in rows for kind in row["kinds"]] for rows in found.values()]
    assert any(attacked[2]) and found["another"] != found["white box"]
    target = load_agent(str(agents / "target"))
    for row in found["another"]:
        scenario = Scenario(*(tuple(row[name]) for name in ("counts", "values", "partner_values")))
        talk = target.begin([scenario.swapped], torch.zeros(1, dtype=torch.long))
        for speaker, text in zip(row["speakers"], row["turns"], strict=True):
            target.read(talk, torch.tensor([0]), Utterances.of([text], target.vocabulary), own=speaker == 1)
        assert taken(target.choose(talk, torch.tensor([0]))[0]) == row["partner_choice"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--attack rl --surrogate_name_or_path {target}", "rl looks into nobody"),
        ("--surrogate_name_or_path {stranger}", "have different vocabularies"),
        ("--attack rl --model_name_or_path {target}", "this attack needs a trained adversary"),
        ("--model_name_or_path {target} --speaker_name_or_path {stranger}", "have different vocabularies"),
        ("--model_name_or_path {victim}", "no negotiation agent, nor a chat model"),
        ("--attack transfer --max_samples 5295", "no tables are left"),
        ("--model_name_or_path {chat} --speaker_name_or_path {target}", "has no inside to look at"),
        ("--scenarios ./nowhere", "is no file or folder"),
        ("--turn -1", "--turn must be at least 0"),
        ("--changes 0", "--changes must be at least 1"),
        ("--max_perplexity_ratio 0", "--max_perplexity_ratio must be positive"),
    ],
)
def test_mistakes_get_one_line(options, told, agents, tmp_path, run_here):
    names = {name: agents / name for name in ("target", "stranger", "chat")} | {"victim": EMBEDDED_VICTIM}
    command = [*options.format(**names).split(), "--output_dir", str(tmp_path / "run")]
    done = run_here("attack_negotiator.py", *command)
    assert done.returncode == 2 and told in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run" / "records.jsonl").exists()
