"""scripts/seq2sick.py as users run it, on the embedded victim and a search cut short.

What a run claims is checked again from its records alone, sentence by sentence, with a victim of the test's own.
Subprocesses cost seconds of imports each: runs that needn't be processes of their own are made in this one.
"""

import json
import math
import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import forked
import pytest

from textadv.configs import VictimConfig
from textadv.metrics import Perplexity
from textadv.victim import Victim
from textadv.words import contains_words, disjoint, input_bleu, output_bleu, shares_no_position, split_words

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "seq2sick.py"
SENTENCES, BATCH = 9, 3
QUICK = "--steps 2 --refine_rounds 2 --candidates 8".split()
SMALL = [*QUICK, "--max_samples", "6", "--per_device_batch_size", "3"]
WHOLE = [*QUICK, "--max_samples", str(SENTENCES), "--per_device_batch_size", str(BATCH)]
LAUNCH = (
    "-m accelerate.commands.accelerate_cli launch --multi_gpu --num_processes 2 --num_machines 1 "
    "--mixed_precision no --dynamo_backend no --main_process_port 0"
).split()
CPU = {"ACCELERATE_USE_CPU": "true"}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Callable[..., int]:
    """Runs the script in this process, in an empty working folder; returns the exit code."""
    from accelerate.state import AcceleratorState

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")

    def run(*args: str | Path) -> int:
        AcceleratorState._reset_state(reset_partial_state=True)  # all Accelerators of a process share it
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, args)])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)
        return 0

    return run


@pytest.fixture(scope="module")
def victim() -> Victim:
    return Victim.from_pretrained(VictimConfig())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, str, str]:
    """The folder, stdout and stderr of an uninterrupted run of one process."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    done = forked.run("seq2sick.py", "--output_dir", folder, *WHOLE, env=CPU)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout, done.stderr


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]


def records(folder: Path) -> list[dict]:
    """Without the one column that may vary."""
    rows = lines(folder)
    assert all(row.pop("seconds") >= 0 for row in rows)
    return rows


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_bytes())


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_bytes())


def verify(rows: list[dict], victim: Victim, goal: Callable[[dict, str], bool]) -> int:
    """Every text and claim of the records again, one sentence at a time in float32; how many succeed."""
    for row in rows:
        original, adversarial = row["original"], row["adversarial"]
        [clean], [output] = victim.generate([original]), victim.generate([adversarial])
        assert (clean, output) == (row["clean_output"], row["adversarial_output"])
        assert row["success"] == (row["skipped"] is None and goal(row, output))
        assert row["success_disjoint"] == (row["skipped"] is None and disjoint(clean, output))
        assert row["success_half_bleu"] == (row["skipped"] is None and output_bleu(clean, output) <= 0.5)
        first, second = split_words(original), split_words(adversarial)
        assert len(first) == len(second)  # substitutions only
        assert row["changed_words"] == sum(a != b for a, b in zip(first, second, strict=True))
        assert row["input_bleu"] == pytest.approx(input_bleu(original, adversarial), abs=1e-12)
        ids = victim.tokenizer(adversarial)["input_ids"]
        assert victim.tokenizer.unk_token_id not in ids
        assert victim.tokenizer.decode(ids, skip_special_tokens=True) == adversarial
    return sum(row["success"] for row in rows)


def non_overlapping(row: dict, output: str) -> bool:
    return shares_no_position(row["clean_output"], output)


def says_keywords(row: dict, output: str) -> bool:
    return contains_words(output, row["keywords"])


# A run --------------------------------------------------------------------------------------------------


def test_records_say_what_the_victim_does(whole, victim):
    rows = lines(whole[0])
    assert [row["example_id"] for row in rows] == list(range(SENTENCES))
    assert all(row["skipped"] is None and row["keywords"] == [] and row["queries"] > 1 for row in rows)
    assert verify(rows, victim, non_overlapping) >= SENTENCES // 3
    for row in rows:
        assert (row["found_by"] is not None) == row["success"]
        assert row["changed_words"] > 0 or not row["success"]


def test_results_average_the_records(whole):
    folder, out, err = whole
    assert {path.name for path in folder.iterdir()} == {
        "records.jsonl", "results.json", "manifest.json", "report.html"
    }  # fmt: skip
    rows, found = lines(folder), results(folder)
    solved = [row for row in rows if row["success"]]
    for name, among in [
        ("success", rows),
        ("success_disjoint", rows),
        ("success_half_bleu", rows),
        ("changed_words", solved),
        ("input_bleu", solved),
    ]:
        assert found[name]["value"] == pytest.approx(sum(row[name] for row in among) / len(among))
        assert found[name]["n"] == len(among) and found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert found["skipped"]["value"] == 0
    seconds = math.fsum(row["seconds"] for row in rows)
    assert (found["seconds"], found["examples_per_second"]) == pytest.approx((seconds, SENTENCES / seconds))
    assert re.search(rf"^success +{found['success']['value']:.4g} .* {SENTENCES}$", out, re.MULTILINE)
    assert f"{SENTENCES}/{SENTENCES}" in err and "100%" in err
    made = manifest(folder)
    assert (made["seed"], made["precision"], made["device"], made["num_processes"]) == (0, "fp32", "cpu", 1)
    assert made["config"]["steps"] == 2 and made["config"]["goal"] == "non_overlapping"
    assert set(made["fingerprint"]) == {"dataset", "victim", "vocabulary", "keyword pool"}


def test_the_report_shows_every_sentence(whole):
    """Read as a browser would: all texts are there, and every changed word is marked on both sides."""

    class Page(HTMLParser):
        text, inside = "", ""

        def handle_starttag(self, tag, attrs):
            self.inside = tag
            assert all((value or "#").startswith(("#", "data:")) for name, value in attrs if name in ("src", "href"))

        def handle_data(self, data):
            self.text += data
            if self.inside in marked:
                marked[self.inside].append(data)
            self.inside = ""

    rows, marked = lines(whole[0]), {"del": [], "ins": []}
    page = Page()
    page.feed((whole[0] / "report.html").read_text(encoding="utf-8"))
    for row in rows:
        for text in (row["original"], row["adversarial"], row["clean_output"], row["adversarial_output"]):
            assert "".join(text.split()) in "".join(page.text.split())
    pairs = [zip(split_words(row["original"]), split_words(row["adversarial"]), strict=True) for row in rows]
    changed = [(a, b) for pair in pairs for a, b in pair if a != b]
    for tag, side in (("del", 0), ("ins", 1)):
        marked[tag].remove("word")  # the legend
        assert sorted(marked[tag]) == sorted(pair[side] for pair in changed)


def write_language_model(folder: Path, texts: list[str], *, seed: int = 0) -> None:
    """A random one."""
    import torch

    from textadv.configs import TrainLMConfig
    from textadv.lm_training import build

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, tokenizer = build(TrainLMConfig(d_model=8, num_layers=1, num_heads=2), texts)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_perplexity_and_sentiment_are_added_to_a_finished_run(whole, here, tmp_path):
    """No record changes; the figures are those of the successes' texts, again from the folder of the model."""
    from textadv.language_model import LanguageModel
    from textadv.metrics import SentimentAgreement

    write_language_model(tmp_path / "lm", [row["original"] for row in lines(whole[0])])
    shutil.copytree(whole[0], tmp_path / "copy")
    judges = ["--perplexity_model", tmp_path / "lm", "--sentiment_model", "vader"]
    assert here("--output_dir", "copy", *WHOLE, *judges) == 0
    assert lines(tmp_path / "copy") == lines(whole[0])
    assert manifest(tmp_path / "copy")["config"]["perplexity_model"] == str(tmp_path / "lm")
    found, before = results(tmp_path / "copy"), results(whole[0])
    judge = LanguageModel.from_pretrained(str(tmp_path / "lm"))
    solved = [row for row in lines(whole[0]) if row["success"]]
    for side in ("original", "adversarial"):
        one = found.pop(f"{side}_perplexity")
        assert one["value"] == pytest.approx(judge.likelihoods([row[side] for row in solved]).perplexity, rel=1e-5)
        assert one["low"] < one["value"] < one["high"] and one["n"] == len(solved)
    assert 0 < found.pop("perplexity_ratio")["value"] < 10
    pairs = {"references": [row["original"] for row in solved], "predictions": [row["adversarial"] for row in solved]}
    same = SentimentAgreement().compute(**pairs, model_id="vader")
    assert found.pop("sentiment_agreement")["value"] == same["sentiment_agreement"]
    assert found == before
    assert "Perplexity, adversarial over original" in (tmp_path / "copy" / "report.html").read_text(encoding="utf-8")


# Nothing lost -------------------------------------------------------------------------------------------


def test_kill_9_loses_nothing(whole, here, tmp_path):
    """Two kills at random moments, each further on, and each leaves the torn line of another crash."""
    draw, folder = random.Random(0), tmp_path / "killed"
    batch_seconds = BATCH * min(row["seconds"] for row in lines(whole[0]))
    for batches in sorted(draw.sample(range(SENTENCES // BATCH - 1), 2)):
        process = forked.start("seq2sick.py", "--output_dir", folder, *WHOLE, env=CPU)
        written, deadline = -1, time.monotonic() + 120
        while written < batches * BATCH and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
            path = folder / "records.jsonl"
            written = path.read_bytes().count(b"\n") if path.exists() else -1
        time.sleep(draw.random() * batch_seconds)
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, err  # it was at work
        kept = (folder / "records.jsonl").read_bytes()
        assert batches * BATCH <= kept.count(b"\n") < SENTENCES
        torn = (whole[0] / "records.jsonl").read_bytes().splitlines()[kept.count(b"\n")]
        (folder / "records.jsonl").write_bytes(kept + torn[: draw.randrange(1, len(torn))])
    assert not (folder / "results.json").exists()
    assert here("--output_dir", folder, *WHOLE) == 0
    assert records(folder) == records(whole[0])


def test_two_processes_are_one(whole, tmp_path):
    """`accelerate launch` itself."""
    command = [sys.executable, *LAUNCH, SCRIPT, "--output_dir", tmp_path, *WHOLE]
    env = os.environ | CPU | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    out, err = done.stdout, done.stderr
    assert manifest(tmp_path)["num_processes"] == 2
    assert out.count("measure ") == 1 and "Traceback" not in err
    assert records(tmp_path) == records(whole[0])


def test_another_config_is_refused(whole, here, capsys):
    """Options, and a data set or victim of another content, are named with both values."""
    before = {path.name: path.read_bytes() for path in whole[0].iterdir()}
    options = ["--output_dir", whole[0], *WHOLE]
    assert here(*options, "--split", "validation", "--steps", "3") == 2
    told = error(capsys.readouterr().err)
    assert 'split "test" there, "validation" here' in told and "steps 2 there, 3 here" in told
    assert told.count(" there, ") == 3 and "dataset fingerprint" in told
    assert before == {path.name: path.read_bytes() for path in whole[0].iterdir()}
    assert here(*options) == 0  # nothing is left to do
    assert before == {path.name: path.read_bytes() for path in whole[0].iterdir()}


def test_bf16_is_close_and_confirmed_in_fp32(whole, victim, here, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")  # as `accelerate launch --mixed_precision bf16` does
    assert here("--output_dir", tmp_path, *WHOLE) == 0
    assert manifest(tmp_path)["precision"] == "bf16"
    rows, exact = records(tmp_path), records(whole[0])
    assert rows != exact  # it isn't fp32 by another name
    assert [row["clean_output"] for row in rows] == [row["clean_output"] for row in exact]
    solved = verify(rows, victim, non_overlapping)
    assert abs(solved - sum(row["success"] for row in exact)) <= 2


# Limits -------------------------------------------------------------------------------------------------


def test_successes_hold_the_limits(whole, here, victim, tmp_path, capsys):
    """The same model judges and measures; another one in its folder, or another list of words, makes another run."""
    texts = [row["original"] for row in lines(whole[0])]
    write_language_model(tmp_path / "lm", texts)
    (tmp_path / "words.txt").write_text("The\nA")
    limits = "--protected_words words.txt --max_words 2 --max_perplexity_ratio 1.02 --perplexity_model lm".split()
    assert here("--output_dir", "out", *SMALL, *limits) == 0
    rows = lines(tmp_path / "out")
    solved = [row for row in rows if row["success"]]
    assert 1 <= len(solved) < len(rows)
    for row in solved:
        [output] = victim.generate([row["adversarial"]])
        assert output == row["adversarial_output"] and non_overlapping(row, output)
        pairs = zip(split_words(row["original"]), split_words(row["adversarial"]), strict=True)
        changed = [old.lower() for old, new in pairs if old != new]
        assert 1 <= len(changed) == row["changed_words"] <= 2 and not {"the", "a"} & set(changed)
        both = [row["original"], row["adversarial"]]
        first, second = Perplexity().compute(predictions=both, model_id=str(tmp_path / "lm"))["perplexities"]
        assert second / first <= 1.02 * (1 + 1e-5)
    assert results(tmp_path / "out")["perplexity_ratio"]["value"] <= 1.02 * (1 + 1e-5)
    found = manifest(tmp_path / "out")
    assert set(found["fingerprint"]) > {"perplexity model", "protected words"}
    assert (found["config"]["max_words"], found["config"]["min_similarity"]) == (2, None)

    (tmp_path / "words.txt").write_text("the a")  # the same words
    shutil.copytree(tmp_path / "lm", tmp_path / "copy of lm")
    assert here("--output_dir", "out", *SMALL, *limits[:-1], "copy of lm") == 0
    (tmp_path / "words.txt").write_text("the")
    write_language_model(tmp_path / "lm", texts, seed=1)
    capsys.readouterr()
    assert here("--output_dir", "out", *SMALL, *limits) == 2
    told = error(capsys.readouterr().err)
    assert "protected words fingerprint" in told and "perplexity model fingerprint" in told
    assert told.count(" there, ") == 2


# Keywords and sentences ---------------------------------------------------------------------------------


def test_a_keyword_of_ones_own(here, victim, tmp_path):
    assert here("--output_dir", "out", "--goal", "keywords", "--keywords", "Hund", *SMALL) == 0
    rows = lines(tmp_path / "out")
    assert all(row["keywords"] == ["Hund"] and "Hund" not in row["clean_output"].split() for row in rows)
    assert verify(rows, victim, says_keywords) >= 3


def test_keywords_are_drawn_by_seed_and_sentence(here, victim, tmp_path):
    """The same whatever the batches and the number of sentences; others for another seed."""
    drawn = {}
    for name, options in {
        "whole": ["--max_samples", "6", "--per_device_batch_size", "4"],
        "part": ["--max_samples", "4", "--per_device_batch_size", "3", "--refine", "false"],
        "other": ["--max_samples", "6", "--seed", "1", "--refine", "false"],
    }.items():
        assert here("--output_dir", name, "--goal", "keywords", "--num_keywords", "2", *QUICK, *options) == 0
        rows = lines(tmp_path / name)
        verify(rows, victim, says_keywords)
        drawn[name] = [row["keywords"] for row in rows]
        for row in rows:
            assert len(set(row["keywords"])) == 2 and row["skipped"] is None
            assert not set(row["keywords"]) & set(split_words(row["clean_output"]))
            assert all(word.isalpha() and len(word) >= 4 for word in row["keywords"])
    assert drawn["part"] == drawn["whole"][:4]
    assert all(a != b for a, b in zip(drawn["whole"], drawn["other"], strict=True))


def test_keywords_of_a_file(here, victim, tmp_path):
    """In any order, with sentences that aren't attacked; one that is said already is skipped."""
    [said] = victim.generate(["A dog is running."])
    assert "Hund" in said.split()
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps({"source": f"A {one} is running."}) for one in ("man", "dog", "baby")))
    wanted = {2: ["Katze"], 0: ["Hund"], 9: ["Mann"], 1: ["Hund"]}
    rows = [{"example_id": i, "keywords": words} for i, words in wanted.items()]
    (tmp_path / "keywords.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ["--dataset_name", data, "--target_column", "none", "--keywords_file", "keywords.jsonl"]
    assert here("--output_dir", "out", "--goal", "keywords", *options, *SMALL) == 0
    rows = lines(tmp_path / "out")
    assert [row["keywords"] for row in rows] == [wanted[i] for i in range(3)]
    assert [row["skipped"] for row in rows] == [None, "the clean output holds the keywords already", None]
    assert verify(rows, victim, says_keywords) >= 1


def test_blank_sentences_are_skipped(here, tmp_path):
    sources = ["", "A man is running.", " \t\n ", "Two dogs are in the barn.", None]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps({"source": source}) for source in sources))
    assert here("--output_dir", "out", "--dataset_name", data, "--target_column", "none", *QUICK) == 0
    rows, found = lines(tmp_path / "out"), results(tmp_path / "out")
    assert [row["example_id"] for row in rows] == [0, 1, 2, 3, 4]
    blank = "the sentence is empty"
    assert [row["skipped"] for row in rows] == [blank, None, blank, None, blank]
    for row in (rows[0], rows[2], rows[4]):
        assert (row["success"], row["queries"], row["adversarial"]) == (False, 0, row["original"])
    assert rows[1]["clean_output"] and rows[1]["queries"] > 1
    assert found["skipped"] == pytest.approx({"value": 0.6, "n": 5} | {k: found["skipped"][k] for k in ("low", "high")})
    assert all(found[name]["n"] == 2 for name in ("success", "success_disjoint", "success_half_bleu", "queries"))
    assert found["changed_words"]["n"] == sum(row["success"] for row in rows)


# Mistakes -----------------------------------------------------------------------------------------------


def error(text: str) -> str:
    """The one line that a mistake gets, at the end of stderr and without a traceback."""
    assert "Traceback" not in text
    line = text.rstrip("\n").split("\n")[-1]
    assert line.startswith("seq2sick.py: error: ")
    return line.removeprefix("seq2sick.py: error: ")


FILES = {
    "decoder_only/config.json": '{"model_type": "gpt2"}',
    "torn/config.json": '{"model_type": "mari',
    "no_weights/config.json": '{"model_type": "marian", "is_encoder_decoder": true}',
    "long.jsonl": json.dumps({"source": "A man."}) + "\n" + json.dumps({"source": "dog " * 200}),
    "numbers.jsonl": '{"source": 3}',
    "torn.jsonl": '{"source": "A man."}\n{"sour',
    "empty.jsonl": "",
    "keywords_torn.jsonl": '{"example_id": 0, "keywords": ["Hund"]}\n{"example_id": 1, "keyw',
    "keywords_no_list.jsonl": '{"example_id": 0, "keywords": "Hund"}',
    "keywords_too_few.jsonl": '{"example_id": 0, "keywords": ["Hund"]}',
    "file": "here already",
}
MISTAKES = {
    "--source_column en": "no column 'en' in the embedded data set; there are source, target",
    "--target_column de": "no column 'de' in the embedded data set; there are source, target",
    "--split dev": "no split 'dev' in the embedded data set; there are train, validation, test",
    "--dataset_name ./nothing": "./nothing is no file or folder; give a path that exists, or a Hub id",
    "--dataset_name nobody/nothing": "nobody/nothing is neither a local path nor in the cache, and HF_HUB_OFFLINE",
    "--dataset_name long.jsonl --target_column none": "sentence 1 has 201 pieces, and MarianMTModel takes 128; shorten",
    "--dataset_name numbers.jsonl": "column 'source' of numbers.jsonl holds no text but int in row 0",
    "--dataset_name torn.jsonl": "torn.jsonl can't be read: JSON parse error",
    "--dataset_name empty.jsonl": "zero samples: empty.jsonl has no rows",
    "--model_name_or_path decoder_only": "decoder_only is a gpt2 model, no encoder-decoder; give a sequence",
    "--model_name_or_path ./nothing": "./nothing is neither a folder here nor a model that the Hub gives; check",
    "--model_name_or_path torn": "torn has no config.json that can be read; give a model's folder or Hub id",
    "--model_name_or_path no_weights": "no_weights can't be loaded: Error no file named model.safetensors",
    "--perplexity_model ./nothing": "./nothing is neither a folder here nor a model that the Hub gives; check",
    "--source_lang de": "MarianMTModel has one language pair; leave out --source_lang",
    "--goal keywords --keywords Hu☃nd": "the victim can't say Hu☃nd; choose words that its vocabulary can write",
    "--goal keywords --keywords_file keywords_torn.jsonl": "line 2 of keywords_torn.jsonl is not like {",
    "--goal keywords --keywords_file keywords_no_list.jsonl": "line 1 of keywords_no_list.jsonl is not like {",
    "--goal keywords --keywords_file keywords_too_few.jsonl": "no keywords for example 1; give one word at least",
    "--goal keywords --keywords_file nothing.jsonl": "--keywords_file nothing.jsonl can't be read; give a JSONL file",
    "--goal keywords --keywords_file file --keywords Hund": "are both given; give one of them",
    "--goal keywords --target_column none": "no target column to draw keywords from; give --keyword_corpus",
    "--goal keywords --keyword_column titel": "there are source, target; name one of them with --keyword_column",
    "--goal keywords --num_keywords 0": "--num_keywords must be at least 1, not 0",
    "--keywords Hund": "are for the keywords goal; add --goal keywords",
    "--source_corpus nothing.txt": "nothing.txt is no file or folder; give a path that exists",
    "--max_samples 0": "zero samples: --max_samples must be at least 1, not 0",
    "--steps -1": "--steps must be at least 0, not -1",
    "--max_words 0": "--max_words must be at least 1, not 0",
    "--max_words_share 1.2": "--max_words_share must be above 0 and at most 1, not 1.2",
    "--protected_words nothing.txt": "--protected_words: nothing.txt is neither a file nor one word; put spaces",
    "--max_perplexity_ratio 2": "--max_perplexity_ratio needs a language model; name one by --perplexity_model",
    "--margin nan": "--margin must be a number of at least 0, not nan",
    "--output_dir file": "cannot write to file: not a folder; name another --output_dir",
    "--output_dir file/below": "cannot write to file/below: Not a directory; name another --output_dir",
    "--goal silence": "invalid choice: 'silence' (choose from 'non_overlapping', 'keywords')",
    "--stepps 3": "unrecognized arguments: --stepps 3",
}


@pytest.fixture
def files(tmp_path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("options", MISTAKES)
def test_mistakes_get_one_line(options, files, here, capfd):
    assert here("--output_dir", "out", *SMALL, *options.split()) == 2
    assert MISTAKES[options] in error(capfd.readouterr().err)
    assert contents(files) == FILES and not (files / "out").exists()


def test_a_mistake_in_a_process_of_its_own(run_script, files):
    done = run_script("seq2sick.py", *SMALL, "--model_name_or_path", "nobody/nothing", env={"HF_HUB_OFFLINE": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "nobody/nothing is neither a folder here nor a model that the Hub gives" in error(done.stderr)
    assert contents(files) == FILES


@pytest.mark.parametrize("command", ["accelerate launch scripts/seq2sick.py", "python scripts/benchmark_seq2sick.py"])
def test_help_is_quick_and_imports_no_torch(command):
    path = ROOT / command.split()[-1]
    code = (
        f"import runpy, sys, time; sys.argv = [{path.name!r}, '--help']; sys.path[0] = {str(path.parent)!r}\n"
        f"try: runpy.run_path({str(path)!r}, run_name='__main__')\n"
        "finally: print('heavy:', {'torch', 'datasets', 'scipy'} & set(sys.modules), time.process_time())"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heavy = re.search(r"heavy: (.+) ([\d.]+)$", done.stdout)
    assert heavy and heavy[1] == "set()" and float(heavy[2]) < 2
    assert f"\n    {command}\n" in done.stdout  # the docstring as it stands
    assert re.search(r"REFINE_ROUNDS\s+rounds of the refinement;[^-]+\(default: 16\)", done.stdout)


# Real data ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_multi30k(data_dir, here, tmp_path):
    """Eight sentences under the default search: most fall, by few words, and all claims hold."""
    models = os.environ.get("TEXTADV_MODELS")
    if not models or not Path(models, "multi30k-marian").is_dir():
        pytest.skip("needs a trained victim: set TEXTADV_MODELS to the folder of multi30k-marian")
    folder = str(Path(models, "multi30k-marian"))
    options = ["--model_name_or_path", folder, "--dataset_name", data_dir / "multi30k", "--max_samples", "8"]
    assert here("--output_dir", "out", *options, "--source_column", "en", "--target_column", "de") == 0
    rows = lines(tmp_path / "out")
    victim = Victim.from_pretrained(VictimConfig(model_name_or_path=folder))
    assert verify(rows, victim, non_overlapping) >= 5
    assert results(tmp_path / "out")["changed_words"]["value"] <= 5
