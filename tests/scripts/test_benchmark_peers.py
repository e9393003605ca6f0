"""scripts/benchmark_peers.py: our attacks beside TextAttack's where that is installed, and one line where it isn't."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmark_peers import compared, markdown

from textadv.configs import ATTACKS, VictimConfig
from textadv.victim import Victim
from textadv.words import shares_no_position

ROOT = Path(__file__).parents[2]
QUICK = "--max_samples 3 --steps 2 --refine_rounds 2 --candidates 8 --num_beams 2 --max_words 1".split()
CPU = {"ACCELERATE_USE_CPU": "true"}
NO_NETWORK = """
import socket
def refuse(*_, **__): raise AssertionError("the network was asked for")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""


def environment(folder: Path, code: str) -> dict[str, str]:
    """The environment of a process that runs `code` before anything else."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    path = filter(None, [str(folder), str(ROOT), str(ROOT / "scripts"), os.environ.get("PYTHONPATH")])
    return CPU | {"PYTHONPATH": os.pathsep.join(path)}


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]


def row(success: bool, words: int, queries: int = 10, seconds: float = 1.0, skipped: str | None = None) -> dict:
    same = {"search_success": not success, "skipped": skipped}
    return same | {"success": success, "changed_words": words, "queries": queries, "seconds": seconds}


# The table ----------------------------------------------------------------------------------------------


def test_the_figures_by_hand():
    records = {
        "fake": [row(True, 2, 10, 3.0), row(True, 3, 20, 3.0), row(False, 1, 60), row(False, 0, 0, 1.0, "empty")],
        "seq2sick": [row(True, 1, 5, 0.5), row(True, 1, 7, 0.5)],
    }
    results = compared(records, max_words=2)
    fake = results["fake"]
    assert [fake[key]["n"] for key in ("success", "success_within", "claimed", "changed_words")] == [3, 3, 3, 2]
    assert fake["success"]["value"] == 2 / 3 and fake["success_within"]["value"] == 1 / 3
    assert fake["claimed"]["value"] == 1 / 3 and fake["changed_words"]["value"] == 2.5
    assert (fake["queries"]["value"], fake["seconds"], fake["times"]) == (30, 2.0, 4.0)
    assert results["seq2sick"]["times"] == 1
    head, _, first, second = markdown(results, 2).splitlines()
    assert "within 2 words" in head and len({line.count("|") for line in (head, first, second)}) == 1
    assert first.startswith("| `fake` | 66.7 % [") and first.endswith("| 30 | 2.00 | 4.0 | 3 |")
    assert second.startswith("| `seq2sick` | 100.0 % [") and second.endswith("| 6 | 0.50 | 1.0 | 2 |")


def test_nothing_to_count():
    """No success, nothing attacked, no Seq2Sick to compare with: dashes."""
    results = compared({"fake": [row(False, 0, 0, 0.0, "empty")]}, max_words=2)
    json.dumps(results, allow_nan=False)
    assert markdown(results, 2).splitlines()[-1] == "| `fake` | - | - | - | - | - | 0.00 | - | 0 |"


def test_the_readme_shows_what_was_measured():
    for path in (ROOT / "textadv" / "results").glob("peers*/results.json"):
        table = markdown(json.loads(path.read_text(encoding="utf-8")), max_words=5)
        assert table in (ROOT / "textadv" / "README.md").read_text(encoding="utf-8"), path


# The script ---------------------------------------------------------------------------------------------


def test_ours_alone_and_again(run_python, run_here, tmp_path):
    """Without TextAttack, which isn't asked for; the same command again attacks nothing."""
    env = environment(tmp_path / "site", "import sys; sys.modules['textattack'] = None")
    options = ["--attacks", "random_words", "seq2sick", "--output_dir", "out", *QUICK]
    done = run_python("benchmark_peers.py", *options, env=env)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert list(results) == ["random_words", "seq2sick"]
    records = {name: rows(tmp_path / "out" / name) for name in results}
    assert results == compared(records, max_words=1)
    assert done.stdout.endswith("\n\n" + markdown(results, 1) + "\n")
    assert all(row["changed_words"] <= 1 for row in records["random_words"])
    again = run_here("benchmark_peers.py", *options, env=env)
    assert again.returncode == 0 and again.stdout == done.stdout and "example" not in again.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "TextAttack is not installed: pip install "),
        ("--goal keywords", "TextAttack has no goal like keywords; leave out --goal or textattack_seq2sick and text"),
        ("--attacks seq2sick gumbel", f"--attacks has no gumbel; there are {', '.join(ATTACKS)}"),
        ("--attacks seq2sick seq2sick", "--attacks names every attack once, and at least one"),
        ("--max_words 0", "--max_words must be at least 1, not 0"),
    ],
)
def test_mistakes_get_one_line(options, told, run_here, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "textattack", None)
    done = run_here("benchmark_peers.py", *options.split(), env=CPU)
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"benchmark_peers.py: error: {told}")
    assert not list(tmp_path.iterdir())


# With TextAttack ----------------------------------------------------------------------------------------


def needs_textattack() -> None:
    """Skips where it isn't installed; importing it here would reach for the network."""
    from importlib.util import find_spec

    if find_spec("textattack") is None:
        pytest.skip("needs TextAttack: the two commands of scripts/benchmark_peers.py")


def test_theirs_are_judged_by_our_rule(run_python, tmp_path):
    """And nothing is asked of the network, with flair and NLTK's stop words there or not."""
    needs_textattack()
    env = environment(tmp_path / "site", NO_NETWORK)
    names = ["textattack_seq2sick", "textattack_deepwordbug"]
    done = run_python("benchmark_peers.py", "--attacks", *names, "--output_dir", "out", *QUICK, env=env)
    assert done.returncode == 0, done.stderr
    assert re.match(r"TextAttack [\d.]+, stop words of .+, the 50 nearest of \d+ words by the input vec", done.stdout)
    victim = Victim.from_pretrained(VictimConfig(num_beams=2))
    for name in names:
        records = rows(tmp_path / "out" / name)
        assert [row["example_id"] for row in records] == [0, 1, 2]
        for row in records:
            [clean], [output] = victim.generate([row["original"]]), victim.generate([row["adversarial"]])
            assert (clean, output) == (row["clean_output"], row["adversarial_output"])
            assert row["success"] == shares_no_position(clean, output)
            assert row["success"] or not row["search_success"], "its rule is the stricter one"
            assert row["queries"] > 3 and row["adversarial"] != row["original"]
        manifest = json.loads((tmp_path / "out" / name / "manifest.json").read_text(encoding="utf-8"))
        assert "textattack" in manifest["versions"] and set(manifest["fingerprint"]) >= {"peer", "peer words"}


def test_the_recipes_are_theirs(tmp_path):
    """Search, transformations, constraints and goal, as the installed package prints them; and the environment."""
    needs_textattack()
    code = """
import os, torch
from transformers import set_seed
import _textattack
from textadv.configs import VictimConfig
from textadv.victim import Victim
from textadv.word_table import WordTable
before = dict(os.environ)
table = WordTable([f"w{i}" for i in range(60)], torch.arange(60.0)[:, None])
recipes, _ = _textattack.recipes(Victim.from_pretrained(VictimConfig()), table)
assert dict(os.environ) == before
for recipe in recipes.values():
    print(recipe.attack)
candidates = recipes["textattack_seq2sick"].attack.transformation._get_replacement_words("W9")
assert candidates[:3] in (["W8", "W10", "W7"], ["W10", "W8", "W7"], ["W10", "W8", "W11"], ["W8", "W10", "W11"])
assert len(candidates) == 50 and "W9" not in candidates
"""
    env = os.environ | environment(tmp_path / "site", NO_NETWORK)
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seq2sick, characters = (re.sub(r"\s+", " ", part) for part in done.stdout.split("Attack(")[1:])
    for part in (seq2sick, characters):
        assert "GreedyWordSwapWIR( (wir_method): unk )" in part and "NonOverlappingOutput" in part
        assert "(max_edit_distance): 30" in part and "RepeatModification" in part and "StopwordModification" in part
    assert "WordSwapEmbedding( (max_candidates): 50" in seq2sick
    assert all(f"WordSwap{kind}" in characters for kind in ("NeighboringCharacterSwap", "RandomCharacterInsertion"))
    assert all(f"WordSwapRandomCharacter{kind}" in characters for kind in ("Deletion", "Substitution"))
