"""The reader of the corpus: every form that the data come in, and the one line that each mistake gets."""

from collections import Counter

import pytest
from datasets import Dataset

from dialogue import data
from dialogue.agent import build_vocabulary
from dialogue.configs import BadInput
from dialogue.data import Dialogue, count_words, load_dialogues, load_scenarios, read_line
from dialogue.domain import NO_DEAL, SHARES, Scenario

SCENARIO = Scenario((1, 4, 1), (4, 1, 2), (0, 2, 2))
PARTS = {
    "input": "1 4 4 1 1 2",
    "dialogue": "THEM: i want 4 hats <eos> YOU: deal <eos> THEM: <selection>",
    "output": "item0=1 item1=0 item2=1 item0=0 item1=4 item2=0",
    "partner_input": "1 0 4 2 1 2",
}
WORDS = tuple("THEM: i want 4 hats <eos> YOU: deal <eos> THEM: <selection>".split())


def line(**changed: str) -> str:
    return " ".join(f"<{part}> {text} </{part}>" for part, text in (PARTS | changed).items())


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def test_a_line():
    assert read_line(line()) == Dialogue(SCENARIO, WORDS, "deal", SHARES.index((1, 0, 1)))
    for outcome, choice in (("no_agreement", NO_DEAL), ("disagree", None), ("disconnect", None)):
        found = read_line(line(output=" ".join([f"<{outcome}>"] * 6)))
        assert (found.outcome, found.choice) == (outcome, choice)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"input": "1 4 4 1 1"}, "six numbers"),
        ({"input": "1 4 4 x 1 2"}, "six numbers"),
        ({"partner_input": "2 0 4 2 1 2"}, "count differently"),
        ({"partner_input": "1 0 4 2 1 3"}, "no scenario"),
        ({"dialogue": ""}, "turns"),
        ({"dialogue": "THEM: deal <eos> YOU: hm THEM: <selection>"}, "turns"),
        ({"dialogue": "so THEM: deal <eos> YOU: <selection>"}, "turns"),
        ({"dialogue": "THEM: deal <eos> THEM: <selection>"}, "two turns in a row"),
        ({"dialogue": "THEM: deal <eos> YOU: deal <eos>"}, "last turn"),
        ({"dialogue": "THEM: deal <selection> YOU: <selection>"}, "last turn"),
        ({"dialogue": "THEM: deal <eos> YOU: ok <selection>"}, "last turn"),
        ({"output": "item0=1 item1=0 item2=1 item0=0 item1=3 item2=0"}, "don't divide"),
        ({"output": "item0=1 item1=0 item2=1"}, "neither two shares"),
        ({"output": "<disagree> <disagree>"}, "neither two shares"),
    ],
)
def test_a_malformed_line_is_refused_with_its_number(changed, told, tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("\n".join([line(), line(**changed), line()]) + "\n")
    with pytest.raises(BadInput, match=rf"^line 2 of test of .*{told}"):
        load_dialogues(str(path), "test")


def test_a_line_without_its_tags(tmp_path):
    (tmp_path / "val.txt").write_text("THEM: deal <eos> YOU: <selection>\n")
    with pytest.raises(BadInput, match=r"^line 1 of validation of .*<input>"):
        load_dialogues(str(tmp_path), "validation")


def test_every_form_gives_the_same_dialogues(tmp_path, monkeypatch):
    expected = [read_line(line()), read_line(line(output=" ".join(["<no_agreement>"] * 6)))]
    texts, parquet = tmp_path / "texts", tmp_path / "parquet"
    for folder in (texts, parquet):
        folder.mkdir()
    (texts / "train.txt").write_text(f"{line()}\n{line(output=' '.join(['<no_agreement>'] * 6))}\n")
    rows = [PARTS, PARTS | {"output": " ".join(["<no_agreement>"] * 6)}]
    Dataset.from_list(rows).to_parquet(parquet / "train.parquet")
    monkeypatch.setattr(data, "ORIGINAL", f"{texts}/")  # where the data set of the Hub would be read from
    for name in (texts, texts / "train.txt", parquet, "mikelewis0/deal_or_no_dialog"):
        assert load_dialogues(str(name), "train") == expected
        assert load_scenarios(str(name), "train") == [SCENARIO] * 2


def test_scenarios_without_dialogues(tmp_path):
    (tmp_path / "selfplay.txt").write_text("1 4 4 1 1 2\n1 0 4 2 1 2\n1 0 4 2 1 2\n1 4 4 1 1 2\n")
    expected = [SCENARIO, SCENARIO.swapped]
    assert load_scenarios(str(tmp_path), "selfplay") == expected
    sides = [(PARTS["input"], PARTS["partner_input"]), (PARTS["partner_input"], PARTS["input"])]
    Dataset.from_list([{"input": one, "partner_input": other} for one, other in sides]).to_parquet(
        tmp_path / "contexts.parquet"
    )
    assert load_scenarios(str(tmp_path / "contexts.parquet"), "train") == expected
    (tmp_path / "selfplay.txt").write_text("1 4 4 1 1 2\n1 0 4 2 1 2\n1 0 4 2 1 2\n")
    with pytest.raises(BadInput, match="3 lines"):
        load_scenarios(str(tmp_path), "selfplay")


def test_what_is_not_there(tmp_path, monkeypatch):
    (tmp_path / "train.txt").write_text(line() + "\n")
    with pytest.raises(BadInput, match=r"no split 'test' in .*; there are train$"):
        load_dialogues(str(tmp_path), "test")
    with pytest.raises(BadInput, match="no split 'dev'"):
        load_scenarios("mikelewis0/deal_or_no_dialog", "dev")
    monkeypatch.setattr(data, "ORIGINAL", f"{tmp_path}/nowhere/")
    with pytest.raises(BadInput, match=r"can't be reached; check the network, or give a folder with train\.txt"):
        load_dialogues("mikelewis0/deal_or_no_dialog", "train")
    Dataset.from_list([{"input": "1"}]).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(BadInput, match="no column 'dialogue'"):
        load_dialogues(str(tmp_path / "other.parquet"), "train")


def test_rare_words_and_the_order_of_the_vocabulary():
    counts = Counter({"YOU:": 30, "THEM:": 29, "i": 21, "want": 20, "<eos>": 50, "<selection>": 9, "hat": 40})
    assert build_vocabulary(counts, 20) == "<eos> <unk> <selection> <pad> hat YOU: THEM: i".split()


def test_the_real_corpus(data_dir):
    name = str(data_dir / "negotiation")
    found = {split: load_dialogues(name, split) for split in ("train", "validation", "test")}
    assert {split: len(views) for split, views in found.items()} == {
        "train": 10_095,
        "validation": 1_087,
        "test": 1_052,
    }
    words = count_words(found["train"])
    vocabulary = build_vocabulary(words, 20)
    assert (words.total(), len(words), len(vocabulary)) == (566_779, 2_539, 463)
    unknown = {}
    for split, views in found.items():
        counts = count_words(views)
        unknown[split] = sum(number for word, number in counts.items() if word not in vocabulary)
    assert unknown == {"train": 8_718, "validation": 914, "test": 847}
    outcomes = Counter(view.outcome for view in found["test"])
    assert outcomes == {"deal": 804, "no_agreement": 96, "disagree": 142, "disconnect": 10}
    scenarios = {split: {view.scenario for view in views} for split, views in found.items()}
    assert not scenarios["train"] & scenarios["test"] and not scenarios["train"] & scenarios["validation"]
    assert len(scenarios["test"]) == 390
    contexts = load_scenarios(str(data_dir / "negotiation_contexts"), "train")
    assert len(contexts) == len(set(contexts)) == 3_000
