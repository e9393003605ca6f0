"""What a script attacks, as its options say it."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from textadv.configs import DataConfig, Seq2SickConfig, VictimConfig, WordsConfig
from textadv.setting import load_setting


def test_sentences_without_references_take_their_keywords_from_a_column_of_another_data_set(tmp_path, monkeypatch):
    """The pool is what occurs five times there, behind the 100 commonest words, that the victim can write."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    common = " ".join(f"w{i}" for i in range(100))
    titles = [f"{common} Hund"] * 3 + [f"{common} Hund Katze"] * 2 + [f"{common} Apfel"] * 4 + [f"{common} zzz☃"] * 9
    counts = Counter(word for title in titles for word in title.split())
    assert (counts["w0"], counts["Hund"], counts["Katze"], counts["Apfel"]) == (18, 5, 2, 4)
    corpus, attacked = tmp_path / "titles.jsonl", tmp_path / "attacked.jsonl"
    corpus.write_text("\n".join(json.dumps({"document": "Baum " * 9, "title": title}) for title in titles))
    attacked.write_text(json.dumps({"document": "A dog sleeps."}))
    setting = load_setting(
        VictimConfig(),
        DataConfig(str(attacked), source_column="document", target_column="none"),
        Seq2SickConfig(goal="keywords"),
        WordsConfig(keyword_corpus=str(corpus), keyword_column="title"),
    )
    assert setting.pool == ["Hund"]
    assert [(example.source, example.reference) for example in setting.examples] == [("A dog sleeps.", None)]


@pytest.mark.skipif("TEXTADV_DATA" not in os.environ, reason="TEXTADV_DATA names no folder of real data")
def test_duc2004_with_the_keywords_of_headlines():
    from textadv.data import keyword_corpus

    folder = Path(os.environ["TEXTADV_DATA"])
    data = DataConfig(str(folder / "duc2004"), source_column="document", target_column="none")
    words = WordsConfig(keyword_corpus=str(folder / "headlines"), keyword_column="headline")
    assert len(keyword_corpus(data, words)) == 13_181
