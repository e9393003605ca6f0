"""Nearest words by plain loops, and what goes into a table."""

import math

import pytest
import tiny
import torch

from textadv.configs import BadInput
from textadv.vocabulary import Vocabulary
from textadv.word_table import WordTable


def test_nearest_is_the_plain_loop():
    vectors = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    table = WordTable([f"w{i}" for i in range(30)], vectors)
    for i in range(30):
        others = [j for j in range(30) if j != i]
        others.sort(key=lambda j: math.dist(vectors[i].tolist(), vectors[j].tolist()))
        assert table.nearest(i, 7) == others[:7]
        assert table.nearest(i, 100) == others


@pytest.mark.parametrize("family", ["Marian", "BART", "T5"])
def test_the_victims_words(family):
    """Lower case, each once, with what the encoder sees; only what may be written."""
    victim = tiny.victim(tiny.unigram(), family)
    table = WordTable.of_victim(Vocabulary(victim))
    assert set(table.words) >= {"dog", "hund", "tree"} and len(set(table.words)) == len(table.words)
    assert all(word == word.lower() and word.isalpha() for word in table.words)
    for word, piece in {"dog": "▁dog", "hund": "▁Hund"}.items():
        seen = victim.embed(torch.tensor(victim.tokenizer.convert_tokens_to_ids(piece)))
        assert torch.equal(table.vectors[table.words.index(word)], seen.detach())
    only = WordTable.of_victim(Vocabulary(victim, corpus=["dog cat Hund"], min_count=1))
    assert sorted(only.words) == ["cat", "dog", "hund"]
    assert only.fingerprint() != table.fingerprint() == WordTable(table.words, table.vectors.clone()).fingerprint()


def test_a_file(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("3 2\nthe 1 2\nRiver 0.5 -1e-1\nThe 5 6\n", encoding="utf-8")
    table = WordTable.read(path)
    assert table.words == ["the", "river"] and table.vectors.tolist() == [[1, 2], pytest.approx([0.5, -0.1])]


@pytest.mark.parametrize("text", [None, "", "the 1 2\na 1\n", "the one two\n"])
def test_files_that_are_refused(tmp_path, text):
    path = tmp_path / "vectors.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput, match="can't be read as word vectors") as refusal:
        WordTable.read(path)
    assert "\n" not in str(refusal.value)
