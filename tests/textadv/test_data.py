"""Data sets of every kind that a user may point at, and the one line that each mistake gets."""

import json
import os
import warnings
from pathlib import Path

import datasets
import pytest
from datasets import Dataset, DatasetDict

from textadv import data
from textadv.configs import BadInput, DataConfig, WordsConfig
from textadv.types import Example

ROWS = [{"source": "A man runs .", "target": "Ein Mann läuft ."}, {"source": " ", "target": "Leer."}]
EXAMPLES = [Example(0, "A man runs .", "Ein Mann läuft ."), Example(1, " ", "Leer.")]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """`datasets` caches what it reads; offline, so that no test waits for the network."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def parquet_folder(path):
    (path / "data").mkdir()
    Dataset.from_list(ROWS).to_parquet(path / "data" / "test-00000-of-00001.parquet")
    Dataset.from_list(ROWS[:1]).to_parquet(path / "data" / "train-00000-of-00001.parquet")
    return path / "data"


def plain_parquet_folder(path):
    Dataset.from_list(ROWS).to_parquet(path / "test.parquet")
    Dataset.from_list(ROWS).to_parquet(path / "train.parquet")
    return path


def saved_dict(path):
    DatasetDict({"test": Dataset.from_list(ROWS), "train": Dataset.from_list(ROWS[:1])}).save_to_disk(path / "saved")
    return path / "saved"


def saved_split(path):
    Dataset.from_list(ROWS).save_to_disk(path / "saved")
    return path / "saved"


def json_lines(path):
    Dataset.from_list(ROWS).to_json(path / "pairs.jsonl")
    return path / "pairs.jsonl"


def csv_file(path):
    Dataset.from_list(ROWS).to_csv(path / "pairs.csv", index=False)
    return path / "pairs.csv"


def parquet_file(path):
    Dataset.from_list(ROWS).to_parquet(path / "pairs.parquet")
    return path / "pairs.parquet"


@pytest.mark.parametrize(
    "make",
    [parquet_folder, plain_parquet_folder, saved_dict, saved_split, json_lines, csv_file, parquet_file],
)
def test_every_format_gives_the_same_examples(make, tmp_path):
    examples = data.load_examples(DataConfig(str(make(tmp_path))))
    assert examples == EXAMPLES  # the blank sentence stays in, so that row numbers hold
    assert data.dataset_fingerprint(examples) == data.dataset_fingerprint(EXAMPLES)


def test_first_samples_only(tmp_path):
    config = DataConfig(str(json_lines(tmp_path)))
    assert data.load_examples(config, max_samples=1) == EXAMPLES[:1]
    assert data.load_examples(config, max_samples=9) == EXAMPLES


@pytest.mark.parametrize("target", ["target", "none"])
def test_sentences_that_came_before_are_left_out(target, tmp_path):
    """Row numbers stay those of the data set, and what isn't taken isn't counted."""
    pairs = [("a b", "1"), ("c", "2"), ("a b", "3"), ("C", "4"), ("a b", "5"), ("d", "6")]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in pairs))
    config = DataConfig(str(path), target_column=target, drop_duplicates=True)
    kept = [Example(i, s, None if target == "none" else t) for i, (s, t) in enumerate(pairs) if i not in (2, 4)]
    assert data.load_examples(config) == kept
    assert data.load_examples(config, max_samples=3) == kept[:3]


def test_duc2004_has_440_sentences(data_dir):
    options = {"source_column": "document", "target_column": "none"}
    everything = data.load_examples(DataConfig(str(data_dir / "duc2004"), **options))
    distinct = data.load_examples(DataConfig(str(data_dir / "duc2004"), drop_duplicates=True, **options))
    assert len(everything) == 500 and len(distinct) == 440 == len({example.source for example in everything})


@pytest.mark.parametrize("none", [None, "none", "None"])
def test_without_references(none, tmp_path):
    config = DataConfig(str(json_lines(tmp_path)), target_column=none)
    assert data.load_examples(config, max_samples=1) == [Example(0, "A man runs .")]


def test_nested_translation_column(tmp_path):
    Dataset.from_list([{"translation": {"en": "A dog.", "de": "Ein Hund."}}]).to_parquet(tmp_path / "a.parquet")
    config = DataConfig(str(tmp_path / "a.parquet"), source_column="en", target_column="de")
    assert data.load_examples(config) == [Example(0, "A dog.", "Ein Hund.")]
    assert data.load_texts(config, "train", "de") == ["Ein Hund."]
    with pytest.raises(BadInput, match=r"no column 'fr' in .*a.parquet; there are translation, en, de"):
        data.load_texts(config, "train", "fr")


def test_missing_values_are_empty_texts(tmp_path):
    Dataset.from_list([{"source": "a", "target": None}, {"source": None, "target": "b"}]).to_json(tmp_path / "a.json")
    examples = data.load_examples(DataConfig(str(tmp_path / "a.json")))
    assert examples == [Example(0, "a", ""), Example(1, "", "b")]


def test_a_text_file_is_a_corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("Ein Hund läuft.\n\nZwei Katzen, drei Hunde.\n", encoding="utf-8")
    lines = ["Ein Hund läuft.", "", "Zwei Katzen, drei Hunde."]
    assert data.load_texts(DataConfig(str(path)), "train", "target") == lines
    sources = data.load_examples(DataConfig(str(path), target_column="none"))
    assert [example.source for example in sources] == lines


@pytest.fixture
def two_sets(tmp_path):
    """Source sentences only, and another data set with titles; train splits are what a corpus is read from."""
    Dataset.from_list([{"document": "a b"}, {"document": "c"}]).to_json(tmp_path / "alone.jsonl")
    rows = [{"document": "x", "headline": "First one"}, {"document": "y", "headline": "Second"}]
    (tmp_path / "titled").mkdir()
    Dataset.from_list(rows).to_json(tmp_path / "titled" / "train.jsonl")
    Dataset.from_list(rows[:1]).to_json(tmp_path / "titled" / "test.jsonl")
    (tmp_path / "lines.txt").write_text("Third\n", encoding="utf-8")
    alone = DataConfig(str(tmp_path / "alone.jsonl"), source_column="document", target_column="none")
    return alone, str(tmp_path / "titled"), str(tmp_path / "lines.txt")


def test_the_column_that_keywords_come_from(two_sets):
    alone, titled, lines = two_sets
    titles = ["First one", "Second"]
    named = DataConfig(titled, source_column="document", target_column="headline")
    for config, words, texts in (
        (alone, WordsConfig(keyword_corpus=titled, keyword_column="headline"), titles),
        (alone, WordsConfig(keyword_column="document"), ["a b", "c"]),
        (alone, WordsConfig(keyword_corpus=lines), ["Third"]),
        (alone, WordsConfig(keyword_corpus=lines, keyword_column="headline"), ["Third"]),
        (named, WordsConfig(), titles),
        (named, WordsConfig(keyword_column="document"), ["x", "y"]),
        (DataConfig(target_column="headline"), WordsConfig(keyword_corpus=titled), titles),
        (DataConfig(), WordsConfig(), data.load_texts(DataConfig(), "train", "target")),
    ):
        assert data.keyword_corpus(config, words) == texts, words


@pytest.mark.parametrize(
    ("target", "corpus", "column", "message"),
    [
        ("none", None, None, "no target column to draw keywords from; give --keyword_corpus or --keywords"),
        (None, "TITLED", None, r"which column of .*titled is meant; give --keyword_column"),
        ("target", "TITLED", None, "no column 'target' in .*titled; there are document, headline; name one of them"),
        ("none", "TITLED", "title", "no column 'title' in .*titled; there .*; name one of them with --keyword_column"),
        ("none", None, "title", "no column 'title' in .*alone.jsonl; there are document; name one of them with"),
    ],
)
def test_no_column_to_draw_keywords_from(two_sets, target, corpus, column, message):
    alone, titled, _ = two_sets
    config = DataConfig(alone.dataset_name, source_column="document", target_column=target)
    words = WordsConfig(keyword_corpus=corpus and titled, keyword_column=column)
    with pytest.raises(BadInput, match=message) as caught:
        data.keyword_corpus(config, words)
    assert "\n" not in str(caught.value)


def test_embedded_data_are_the_default():
    examples = data.load_examples(DataConfig(), max_samples=5)
    assert [example.example_id for example in examples] == [0, 1, 2, 3, 4]
    assert examples == data.load_examples(DataConfig())[:5]
    assert data.load_texts(DataConfig(), "test", "target")[:5] == [example.reference for example in examples]
    assert len(data.load_examples(DataConfig(split="validation"))) == data.EMBEDDED_ROWS["validation"]


def test_fingerprint_tells_what_matters():
    """Order, text and references count; where one text ends and the next begins does, too."""
    different = [
        EXAMPLES,
        EXAMPLES[::-1],
        EXAMPLES[:1],
        [Example(0, "A man runs .", "Ein Mann läuft . "), EXAMPLES[1]],
        [Example(0, "A man runs .", None), EXAMPLES[1]],
        [Example(0, "A man runs . Ein Mann läuft .", ""), EXAMPLES[1]],
    ]
    assert len({data.dataset_fingerprint(examples) for examples in different}) == len(different)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"dataset_name": "./nothing"},
            r"\./nothing is no file or folder; give a path that exists, or a Hub id",
        ),
        ({"dataset_name": "nothing.jsonl"}, "nothing.jsonl is no file or folder"),
        ({"dataset_name": "nobody/nothing"}, "neither a local path nor in the cache, and HF_HUB_OFFLINE"),
        ({"split": "dev"}, "no split 'dev' in the embedded data set; there are train, validation, test"),
        ({"source_column": "en"}, "no column 'en' in the embedded data set; there are source, target"),
        ({"target_column": "de"}, "no column 'de' in the embedded data set; there are source, target"),
    ],
)
def test_mistakes_get_one_clear_line(options, message):
    with pytest.raises(BadInput, match=message) as caught:
        data.load_examples(DataConfig(**options))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_mistakes_in_local_data(tmp_path):
    folder = parquet_folder(tmp_path)
    with pytest.raises(BadInput, match=r"no split 'dev' in .*; there are train, test"):
        data.load_examples(DataConfig(str(folder), split="dev"))
    with pytest.raises(BadInput, match=r"no column 'en' in .*; there are source, target"):
        data.load_examples(DataConfig(str(folder), source_column="en"))
    with pytest.raises(BadInput, match="Config 'xx' not found"):
        data.load_examples(DataConfig(str(folder), dataset_config_name="xx"))
    (tmp_path / "data.zip").write_bytes(b"")
    with pytest.raises(BadInput, match="no format that can be read"):
        data.load_examples(DataConfig(str(tmp_path / "data.zip")))
    Dataset.from_list([{"source": 3, "target": "drei"}]).to_parquet(tmp_path / "numbers.parquet")
    with pytest.raises(BadInput, match=r"column 'source' .* holds no text but int in row 0"):
        data.load_examples(DataConfig(str(tmp_path / "numbers.parquet")))
    with pytest.raises(BadInput, match="zero samples"):
        data.load_examples(DataConfig(), max_samples=0)


def test_no_rows(tmp_path):
    features = datasets.Features(source=datasets.Value("string"), target=datasets.Value("string"))
    Dataset.from_dict({"source": [], "target": []}, features=features).to_parquet(tmp_path / "empty.parquet")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "empty.txt").write_text("")
    saved = Dataset.from_dict({"source": [], "target": []}, features=features)
    saved.save_to_disk(tmp_path / "saved")
    DatasetDict(test=saved).save_to_disk(tmp_path / "splits")
    for name in ("empty.parquet", "empty.jsonl", "empty.txt", "saved", "splits"):
        with pytest.raises(BadInput, match=f"zero samples: .*{name}.* has no rows"):
            data.load_examples(DataConfig(str(tmp_path / name)))


def test_broken_and_empty_places(tmp_path):
    (tmp_path / "broken.jsonl").write_text('{"source": "a', encoding="utf-8")
    (tmp_path / "folder").mkdir()
    for name in ("broken.jsonl", "folder"):
        with pytest.raises(BadInput, match=f"{name} can't be read") as caught:
            data.load_examples(DataConfig(str(tmp_path / name)))
        assert "\n" not in str(caught.value)


def test_data_set_scripts_are_refused(tmp_path):
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text("raise SystemExit('must not run')\n")
    with pytest.raises(BadInput, match=r"scripted is a script, which `datasets` no longer runs; give the data as"):
        data.load_examples(DataConfig(str(folder)))


def test_no_network_is_said_so(monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("Couldn't reach the Hub\nafter retries")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(BadInput, match="owner/name is no local path, and the Hub can't be reached"):
        data.load_examples(DataConfig("owner/name"))


@pytest.mark.skipif("TEXTADV_DATA" not in os.environ, reason="TEXTADV_DATA names no folder of real data")
def test_multi30k():
    folder = Path(os.environ["TEXTADV_DATA"]) / "multi30k"
    examples = data.load_examples(DataConfig(str(folder), source_column="en", target_column="de"))
    assert len(examples) == 1000
    assert examples[0].source == "A man in an orange hat starring at something."
    assert examples[0].reference == "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt."
    assert len(data.load_texts(DataConfig(str(folder)), "train", "de")) == 29_000


def test_embedded_victim_loads_in_silence():
    """Weights, tokenizer and decoding of the shipped model, by the classes that users load them with."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model = AutoModelForSeq2SeqLM.from_pretrained(data.EMBEDDED_VICTIM, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(data.EMBEDDED_VICTIM)
    assert not heard
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert model.generation_config.num_beams == 5
    assert sum(path.stat().st_size for path in data.EMBEDDED_VICTIM.iterdir()) < 3_000_000
    texts = data.load_texts(DataConfig(), "test", "source") + data.load_texts(DataConfig(), "test", "target")
    ids = tokenizer(texts).input_ids
    assert tokenizer.batch_decode(ids, skip_special_tokens=True) == texts
    words = {word for text in texts for word in text.replace(",", "").replace(".", "").split()}
    assert all(len(tokenizer(word).input_ids) == 2 for word in words)  # one piece and the end


def test_embedded_victim_translates():
    """At least 90 BLEU on 100 test sentences, by sacrebleu itself."""
    import sacrebleu
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(data.EMBEDDED_VICTIM, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(data.EMBEDDED_VICTIM)
    examples = data.load_examples(DataConfig(), max_samples=100)
    batch = tokenizer([example.source for example in examples], padding=True, return_tensors="pt")
    outputs = tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True)
    references = [example.reference or "" for example in examples]
    assert sacrebleu.corpus_bleu(outputs, [references]).score >= 90
