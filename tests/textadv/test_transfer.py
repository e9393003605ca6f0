"""Transfer against brute force: every output decoded alone, every goal written out again, on tiny victims."""

import json
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import tiny

from textadv.configs import BadInput, Seq2SickConfig, TransferConfig, VictimConfig
from textadv.data import EMBEDDED_VICTIM
from textadv.goals import NonOverlapping, TargetedKeywords
from textadv.seq2sick import seq2sick
from textadv.transfer import (
    TOO_LONG,
    Attempt,
    FinishedRun,
    is_met,
    labels,
    load_columns,
    measures,
    pair_up,
    read_runs,
    transfer,
)
from textadv.transfer_report import report
from textadv.types import Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary
from textadv.words import shares_no_position

TEXTS = [text for text in tiny.sentences(24, seed=3, most=6) if text.strip()]


@pytest.fixture(scope="module")
def victims():
    return {"one": tiny.victim(tiny.unigram(), seed=1), "two": tiny.victim(tiny.word_level(), "BART", seed=2)}


def attempt(number: int, original: str, adversarial: str, victim: str = "one", keywords: tuple[str, ...] = ()):
    return Attempt(number, "run", number, 7, original, adversarial, keywords, victim, own=victim == "one")


def test_pairs_of_a_mixed_batch_are_what_single_decodings_say(victims):
    pairs = list(zip(TEXTS[::2], TEXTS[1::2], strict=False))
    attempts = [attempt(i, *pair, victim="one" if i % 3 else "two") for i, pair in enumerate(pairs)]
    records = transfer(victims, attempts)
    assert [record.example_id for record in records] == list(range(len(pairs)))
    for record, (original, adversarial) in zip(records, pairs, strict=True):
        [clean], [output] = victims[record.victim].generate([original]), victims[record.victim].generate([adversarial])
        assert (record.clean_output, record.adversarial_output) == (clean, output)
        assert record.success == (record.skipped is None and shares_no_position(clean, output))
        assert (record.skipped is not None) == (not clean.strip())
        assert (record.seed, record.own, record.queries) == (7, record.victim == "one", 2)
    assert len({record.success for record in records}) == 2, "both outcomes are met"


def test_keywords_that_a_clean_output_holds_set_the_pair_apart(victims):
    [clean] = victims["one"].generate([TEXTS[0]])
    [output] = victims["one"].generate([TEXTS[5]])
    said, new = clean.split()[0], next(word for word in output.split() if word.isalpha() and word not in clean)
    records = transfer(
        victims,
        [attempt(i, TEXTS[0], TEXTS[5], keywords=words) for i, words in enumerate([(said,), (new,), ("Igel",)])],
    )
    assert [record.skipped is None for record in records] == [False, True, True]
    assert [record.success for record in records] == [False, True, False]
    assert not records[0].success_half_bleu


def test_what_a_victim_does_not_take_is_set_apart(victims):
    long = " ".join(["dog"] * 80)
    [record] = transfer(victims, [attempt(0, "the dog sits", long)])
    assert (record.skipped, record.success, record.queries, record.adversarial_output) == (TOO_LONG, False, 0, "")


def test_the_goal_is_that_of_the_attack():
    outputs = ["ein Hund sitzt .", "der Hund läuft", "", "Hund ein !", "die Katze wartet hier", "ein Hund sitzt !"]
    for clean in outputs[:2]:
        for output in outputs:
            apart = NonOverlapping([clean], None, None, end_id=1)  # pyright: ignore[reportArgumentType]
            assert is_met(clean, output, []) == (apart.violations(0, output) == 0)
            for words in (["Hund"], ["Hund", "ein"], ["Katze"]):
                wanted = TargetedKeywords.__new__(TargetedKeywords)
                wanted.keywords = [words]
                assert is_met(clean, output, words) == (wanted.violations(0, output) == 0)


def test_measures_count_own_and_other_victims_apart(victims):
    row = asdict(transfer(victims, [attempt(0, TEXTS[0], TEXTS[1])])[0])
    rows = [
        row | {"own": own, "success": success, "skipped": skipped, "victim": "one" if own else "two"}
        for own, success, skipped in [
            (True, True, None), (True, False, None), (False, True, None), (False, False, "why")
        ]
    ]  # fmt: skip
    found = measures(rows)
    assert (found["verified"], found["success"]) == ([True, False], [True])
    assert found["success: run on two"] == [True] and found["skipped"] == [False, False, False, True]


def test_labels_are_as_short_as_they_can_be():
    assert labels(["runs/a", "runs/b/", "me/c"]) == ["a", "b", "c"]
    assert labels(["one/a", "two/a"]) == ["one/a", "two/a"]
    assert labels(["a", "b/a"]) == ["a", "b/a"]
    with pytest.raises(BadInput, match="named twice"):
        labels(["runs/a", "runs/a/"])


# Folders ------------------------------------------------------------------------------------------------


def write_run(folder: Path, victim: Victim, texts: list[str], **config) -> Path:
    """What scripts/seq2sick.py leaves, as far as it is read."""
    examples = [Example(i, text) for i, text in enumerate(texts)]
    quick = Seq2SickConfig(steps=2, refine_rounds=2, candidates=16)
    records = seq2sick(Vocabulary(victim), examples, config=quick, seed=5)
    folder.mkdir(parents=True)
    lines = [json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records]
    (folder / "records.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "results.json").write_text("{}")
    told = asdict(victim.config) | {"goal": "non_overlapping"} | config
    manifest = {"seed": 5, "config": told, "fingerprint": {"victim": victim.fingerprint()}, "versions": {"torch": "1"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two runs against victims in folders, v1 and v2, of the embedded one with and without noise on its weights."""
    import torch

    base = tmp_path_factory.mktemp("runs")
    texts = [f"A {color} dog sits in front of the barn." for color in ("red", "big", "dirty", "small", "white")]
    for name, noise in (("v1", 0.0), ("v2", 0.02)):
        config = VictimConfig(model_name_or_path=str(EMBEDDED_VICTIM), num_beams=2, max_new_tokens=20)
        victim = Victim.from_pretrained(config)
        with torch.no_grad():
            for values in victim.model.parameters():
                values += noise * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
        victim.model.save_pretrained(base / name)
        victim.tokenizer.save_pretrained(base / name)
        saved = Victim.from_pretrained(replace(config, model_name_or_path=str(base / name)))
        write_run(base / f"run-{name}", saved, texts)
    return base


def config_of(runs: Path, victims: list[str] | None = None, **options) -> tuple[TransferConfig, list[FinishedRun]]:
    folders = [str(runs / "run-v1"), str(runs / "run-v2")]
    named = [str(runs / name) if name != "embedded" else name for name in victims or []]
    return TransferConfig(runs=folders, victims=named, **options), read_runs(folders)


def test_the_diagonal_verifies_and_the_rest_is_judged_anew(runs):
    config, found = config_of(runs)
    assert [run.label for run in found] == ["run-v1", "run-v2"] and found[0].attacked == 5
    columns = load_columns(config, found)
    assert [(column.label, column.owns, column.notes) for column in columns] == [
        ("v1", frozenset({"run-v1"}), []),
        ("v2", frozenset({"run-v2"}), []),
    ]
    attempts = pair_up(found, columns)
    assert [one.example_id for one in attempts] == list(range(2 * sum(len(run.successes) for run in found)))
    records = transfer({column.label: column.victim for column in columns}, attempts)
    assert all(record.success for record in records if record.own) and any(record.own for record in records)
    claims = {(run.label, row["example_id"]): row for run in found for row in run.successes}
    for record in records:
        claim = claims[record.run, record.sentence]
        assert (record.original, record.adversarial) == (claim["original"], claim["adversarial"])
        if record.own:
            assert (record.clean_output, record.adversarial_output) == (
                claim["clean_output"],
                claim["adversarial_output"],
            )
            assert record.output_bleu == claim["output_bleu"]
    assert len(pair_up(found, columns, most=1)) == 4


def test_other_decoding_or_other_weights_verify_nothing_and_it_is_told(runs, tmp_path):
    config, found = config_of(runs, ["v1"], num_beams=1)
    [column] = load_columns(config, found)
    assert column.victim.config.num_beams == 1 and column.victim.config.max_new_tokens == 20
    assert not column.owns and column.notes == ["run-v1 attacked v1, but decoded it otherwise"]
    changed = [replace(found[0], fingerprint="other")]
    [column] = load_columns(config_of(runs, ["v1"])[0], changed)
    assert not column.owns and column.notes == ["run-v1 attacked v1, but its weights have changed since"]
    [column] = load_columns(config_of(runs, ["embedded"])[0], found)  # the weights of v1 by another name
    assert column.owns == {"run-v1"} and column.victim.config.num_beams == 2
    clash = [found[0], replace(found[0], label="more", victim=replace(found[0].victim, num_beams=3))]
    with pytest.raises(BadInput, match=r"run-v1 and more decode .* differently; give --num_beams"):
        load_columns(config_of(runs, ["v1"])[0], clash)


def test_folders_that_are_no_runs_are_refused(runs, tmp_path):
    with pytest.raises(BadInput, match="holds no finished run"):
        read_runs([str(tmp_path)])
    for name, text in {"results.json": "{}", "manifest.json": "{}", "records.jsonl": '{"a": 1}\n'}.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match="is no run of an attack on sentences"):
        read_runs([str(tmp_path)])


def test_the_report_holds_every_cell_and_escapes_what_it_shows(runs):
    config, found = config_of(runs)
    columns = load_columns(config, found)
    made = transfer({column.label: column.victim for column in columns}, pair_up(found, columns))
    evil = "<script>alert(1)</script>"
    records = [asdict(replace(record, adversarial_output=evil, success=False)) for record in made]
    results = {}
    for name, values in measures(records).items():
        value = sum(values) / len(values) if values else None
        results[name] = {"value": value, "low": value and 0.1, "high": value and 0.9, "n": len(values)}
    manifest = {"config": {"num_beams": 2}, "versions": {"torch": "2"}, "device": "cpu"}
    page = report(records, results, manifest, runs=found, notes=["a note"])
    assert evil not in page and "&lt;script&gt;" in page and "a note." in page
    fallen = len(found[0].successes)
    assert f"run-v1: {fallen} of {fallen} don&#39;t hold on their own victim" in page
    assert "torch 1 then, 2 now" in page
    assert page == report(records, results, manifest, runs=found, notes=["a note"])

    class Cells(HTMLParser):
        own = cells = 0

        def handle_starttag(self, tag, attrs):
            given = dict(attrs)
            self.own += given.get("class") == "own"
            self.cells += tag == "td" and "color-mix" in (given.get("style") or "")

    parsed = Cells()
    parsed.feed(page)
    assert (parsed.cells, parsed.own) == (12, 6), "three rules, two runs, two victims"
