"""Self-play by script: the run folder, resume, tables of any source, and a person at the table."""

import json

import pytest
from negotiators import tiny_agent

from dialogue.domain import all_scenarios
from textadv.data import EMBEDDED_VICTIM


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agents")
    for name, seed in (("one", 0), ("other", 1)):
        tiny_agent(seed, temperature=2.0).float().save_pretrained(folder / name)
    return folder


def records_of(folder):
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_run_folder(agents, tmp_path, run_here):
    options = ["--model_name_or_path", str(agents / "one"), "--partner_name_or_path", str(agents / "other")]
    options += ["--max_samples", "30", "--max_turns", "4"]
    done = run_here("selfplay.py", *options, "--output_dir", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    rows = records_of(tmp_path / "run")
    scenarios = [all_scenarios()[row["example_id"]] for row in rows]
    assert len(rows) == 30 and {len(row["turns"]) for row in rows} <= set(range(1, 10))
    assert [row["counts"] for row in rows] == [list(scenario.counts) for scenario in scenarios]
    assert sorted(row["example_id"] for row in rows) != list(range(30)), "a shuffled order"
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["agreement"]["n"] == 30 and {"score", "partner_score", "advantage", "turns"} <= set(results)
    assert results["agreement"]["value"] == pytest.approx(sum(row["success"] for row in rows) / 30)
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count('class="talk panel') == 30 and "one and other at the table" in page
    # In other batches, and from the middle on.
    (tmp_path / "again").mkdir()
    kept = (tmp_path / "run" / "records.jsonl").read_text().splitlines()[:11]
    smaller = [*options, "--per_device_batch_size", "8", "--output_dir", str(tmp_path / "again")]
    assert run_here("selfplay.py", *smaller).returncode == 0
    assert records_of(tmp_path / "again") == rows
    (tmp_path / "again" / "records.jsonl").write_text("\n".join(kept) + '\n{"torn')
    assert run_here("selfplay.py", *smaller).returncode == 0
    assert records_of(tmp_path / "again") == rows


def test_the_embedded_agents_agree(tmp_path, run_here):
    done = run_here("selfplay.py", "--max_samples", "300", "--output_dir", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["agreement"]["n"] == 300 and results["agreement"]["value"] >= 0.85
    assert results["score"]["low"] > results["partner_score"]["high"], "it has learnt to win"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "The embedded RL agent and the embedded SV agent at the table" in page


def test_tables_of_a_file_and_who_starts(agents, tmp_path, run_here):
    (tmp_path / "selfplay.txt").write_text("1 4 4 1 1 2\n1 0 4 2 1 2\n" * 2 + "1 0 4 2 1 2\n1 4 4 1 1 2\n")
    options = ["--model_name_or_path", str(agents / "one"), "--scenarios", str(tmp_path / "selfplay.txt")]
    for starter, first in (("agent", 0), ("partner", 1)):
        folder = tmp_path / starter
        done = run_here("selfplay.py", *options, "--starter", starter, "--output_dir", str(folder))
        assert done.returncode == 0, done.stderr
        rows = records_of(folder)
        assert [row["values"] for row in rows] == [[4, 1, 2], [0, 2, 2]], "none twice"
        assert {row["speakers"][0] for row in rows} == {first}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--model_name_or_path ./nowhere", "no negotiation agent that can be loaded"),
        ("--max_turns 0", "--max_turns must be at least 1"),
        ("--max_samples 0", "zero samples"),
        ("--model_name_or_path {one} --scenarios ./nowhere", "is no file or folder"),
        ("--model_name_or_path {victim}", "is a marian and no negotiation agent, nor a chat model"),
    ],
)
def test_mistakes_get_one_line(options, told, agents, run_here):
    done = run_here("selfplay.py", *options.format(one=agents / "one", victim=EMBEDDED_VICTIM).split())
    assert done.returncode == 2 and told in done.stderr.splitlines()[-1]


def chat(agents, run_here, monkeypatch, lines, *options):
    said = iter(lines)

    def answer(prompt=""):
        print(prompt, end="")
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)
    return run_here("chat_negotiator.py", "--model_name_or_path", str(agents / "one"), *options)


def test_a_person_negotiates(agents, run_here, monkeypatch):
    for seed in range(4):
        lines = ["I want the Book, please!"] * 3 + ["/deal", "9 9 9", "no deal"]
        done = chat(agents, run_here, monkeypatch, lines, "--seed", str(seed))
        assert done.returncode == 0, done.stderr
        assert "worth to you" in done.stdout and "sure that it takes" in done.stdout
        assert "The agent takes" in done.stdout or "Three numbers" in done.stdout


def test_the_end_of_input_leaves(agents, run_here, monkeypatch):
    done = chat(agents, run_here, monkeypatch, [], "--seed", "0", "--inclination", "false")
    assert done.returncode == 0 and "sure that" not in done.stdout
