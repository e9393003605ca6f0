"""Scores of outputs, against sacreBLEU, the definition of ROUGE-L, and transformers' own decoding."""

import pytest
import sacrebleu
import tiny

from textadv import scoring
from textadv.grammar import generate
from textadv.types import Example


def test_bleu_is_sacrebleus_with_an_interval_around_it():
    references = [pair["target"] for pair in generate("test", 60)]
    hypotheses = [text.replace("Ein ", "Das ").replace("im", "in einem") for text in references]
    measured = scoring.bleu(hypotheses, references)
    assert measured["value"] == sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert measured["low"] < measured["value"] < measured["high"] <= 100 and measured["n"] == 60
    assert measured == scoring.bleu(hypotheses, references)
    half = scoring.bleu(hypotheses[:15], references[:15])
    assert half["high"] - half["low"] > measured["high"] - measured["low"]  # fewer sentences, wider interval
    perfect = scoring.bleu(references, references)
    assert [round(perfect[name], 6) for name in ("value", "low", "high")] == [100, 100, 100]
    with pytest.raises(ValueError, match="no sentences"):
        scoring.bleu([], [])


def longest_common_subsequence(one: list[str], other: list[str]) -> int:
    if not one or not other:
        return 0
    if one[-1] == other[-1]:
        return 1 + longest_common_subsequence(one[:-1], other[:-1])
    return max(longest_common_subsequence(one[:-1], other), longest_common_subsequence(one, other[:-1]))


def test_rouge_l_is_its_definition():
    hypotheses = ["Police arrest two men", "rain in spain, again", "", "the cat"]
    references = ["police arrested two armed men today", "Again rain in Spain", "nothing", "the cat"]
    each = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        h, r = (text.lower().replace(",", "").split() for text in (hypothesis, reference))
        common = longest_common_subsequence(h, r)
        each.append(200 * common / (len(h) + len(r)))
    measured = scoring.rouge_l(hypotheses, references)
    assert measured["value"] == pytest.approx(sum(each) / 4) and measured["n"] == 4
    assert 0 <= measured["low"] < measured["value"] < measured["high"] <= 100
    narrow = scoring.rouge_l(hypotheses * 9, references * 9)
    assert narrow["high"] - narrow["low"] < measured["high"] - measured["low"]
    assert scoring.rouge_l(["a"], ["a"]) == {"value": 100.0, "low": 0.0, "high": 100.0, "n": 1}
    with pytest.raises(ValueError, match="no sentences"):
        scoring.rouge_l([], [])


def test_the_scores_are_of_the_models_own_decoding(monkeypatch):
    made = tiny.victim(tiny.unigram(), "LSTM")
    made.model.generation_config.update(num_beams=2, max_new_tokens=12)
    sources = tiny.sentences(7)
    examples = [Example(i, source, f"r{i}") for i, source in enumerate(sources)]
    seen = []
    for name in ("bleu", "rouge_l"):
        monkeypatch.setattr(scoring, name, lambda *texts: seen.append(texts))
    monkeypatch.setattr(scoring, "SCORED_AT_ONCE", 3)
    assert set(scoring.score(made.model, made.tokenizer, examples)) == {"bleu", "rouge_l"}
    assert seen == [(made.generate(sources), [f"r{i}" for i in range(7)])] * 2
