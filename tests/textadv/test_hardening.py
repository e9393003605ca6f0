"""What is learnt from: parts, pairs and mixtures against counting, and the comparison against hand-made records."""

import random
from collections import Counter
from dataclasses import asdict, replace

import pytest
import tiny

from textadv.configs import BadInput, HardenConfig, Seq2SickConfig, VictimConfig
from textadv.hardening import (
    attacked_pairs,
    card_section,
    comparison,
    fresh_parts,
    mixture,
    noisy_pairs,
    training_attack,
)
from textadv.seq2sick import seq2sick
from textadv.types import Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary
from textadv.words import split_words

EXAMPLES = [Example(i, text, f"reference {i}") for i, text in enumerate(tiny.sentences(40, seed=1)) if text.strip()]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(tiny.victim(tiny.unigram(), seed=3))


def test_every_round_gets_other_sentences(vocabulary):
    blank = [Example(100, " ", "x"), Example(101, "the dog", " "), Example(102, " ".join(["dog"] * 90), "x")]
    usable = len(EXAMPLES)
    each = usable // 3
    parts = fresh_parts([*blank, *EXAMPLES], vocabulary.victim, rounds=3, each=each, seed=0)
    assert [len(part) for part in parts] == [each] * 3
    found = [example for part in parts for example in part]
    assert len(set(found)) == 3 * each and set(found) <= set(EXAMPLES)
    assert parts == fresh_parts([*blank, *EXAMPLES], vocabulary.victim, rounds=3, each=each, seed=0)
    assert parts != fresh_parts([*blank, *EXAMPLES], vocabulary.victim, rounds=3, each=each, seed=1)
    with pytest.raises(BadInput, match=f"1 rounds of {usable + 1} sentences need {usable + 1}, and .* has {usable} "):
        fresh_parts([*blank, *EXAMPLES], vocabulary.victim, rounds=1, each=usable + 1, seed=0)


def test_pairs_are_the_successes_with_the_label_that_is_asked_for():
    quick = Seq2SickConfig(steps=2, refine_rounds=2, candidates=16)
    embedded = Vocabulary(Victim.from_pretrained(VictimConfig()))
    examples = [Example(i, f"A {color} dog sits.", f"reference {i}") for i, color in enumerate(["red", "big", "small"])]
    records = [asdict(record) for record in seq2sick(embedded, examples, config=quick, seed=0)]
    assert 0 < sum(row["success"] for row in records)
    solved = {row["example_id"]: row for row in records if row["success"]}
    for label, column in (("reference", "reference"), ("clean_output", "clean_output")):
        pairs = attacked_pairs([*records, records[0] | {"success": False, "example_id": 99}], label)
        assert {pair.example_id for pair in pairs} == set(solved)
        for pair in pairs:
            row = solved[pair.example_id]
            assert (pair.source, pair.reference) == (row["adversarial"], row[column])
            assert pair.source != row["original"]


@pytest.mark.parametrize("words", [1, 2])
def test_noise_changes_as_many_words_as_it_is_told(vocabulary, words):
    pairs = noisy_pairs(vocabulary, EXAMPLES, words=words, label="reference", seed=0)
    assert len(pairs) > 10
    originals = {example.example_id: example for example in EXAMPLES}
    for pair in pairs:
        first, second = split_words(originals[pair.example_id].source), split_words(pair.source)
        assert len(first) == len(second) and sum(a != b for a, b in zip(first, second, strict=True)) == words
        assert pair.reference == originals[pair.example_id].reference
    assert pairs == noisy_pairs(vocabulary, EXAMPLES, words=words, label="reference", seed=0)
    some = EXAMPLES[5:9]
    alone = noisy_pairs(vocabulary, some, words=words, label="reference", seed=0)
    assert alone == [pair for pair in pairs if pair.example_id in {example.example_id for example in some}]


def test_noise_can_be_labelled_with_the_models_own_output(vocabulary):
    for pair in noisy_pairs(vocabulary, EXAMPLES[:6], words=1, label="clean_output", seed=0):
        [original] = [example.source for example in EXAMPLES if example.example_id == pair.example_id]
        assert [pair.reference] == vocabulary.victim.generate([original])
    assert noisy_pairs(vocabulary, [Example(0, "ox☃ ox☃", "x")], words=1, label="reference", seed=0) == []


def test_a_mixture_has_its_share_and_repeats_evenly():
    clean, changed = EXAMPLES[:10], [replace(example, source="changed") for example in EXAMPLES[:3]]
    mixed = mixture(clean, changed, share=0.3, count=100, seed=0, number=1)
    assert len(mixed) == 100 and sum(pair.source == "changed" for pair in mixed) == 30
    assert set(Counter(mixed).values()) == {7, 10}, "70 over 10 sentences, 30 over 3"
    assert mixed == mixture(clean, changed, share=0.3, count=100, seed=0, number=1)
    few = mixture(clean, [], share=0.3, count=4, seed=0, number=1)
    assert len(set(few)) == 4 and few != mixture(clean, [], share=0.3, count=4, seed=0, number=2)
    assert all(pair.source == "changed" for pair in mixture(clean, changed, share=1.0, count=9, seed=0, number=1))


def record(number: int, success: bool, skipped: str | None = None, words: int = 1) -> dict:
    rates = {"success": success, "success_disjoint": False, "success_half_bleu": success, "search_success": success}
    numbers = {"changed_words": words, "input_bleu": 0.5, "output_bleu": 0.5, "queries": 3}
    return {"example_id": number, "skipped": skipped} | rates | numbers


def test_the_comparison_is_of_the_same_sentences():
    before = [record(0, True), record(1, True, words=3), record(2, False), record(3, False, "why"), record(4, True)]
    after = [record(0, False), record(1, True, words=5), record(2, True), record(3, True), record(4, False, "why")]
    transferred = [{"success": True, "skipped": None}, {"success": False, "skipped": "why"}]
    found = comparison(before, after, transferred)
    assert found["success_before"] == [True, True, False, True] and found["success"] == [False, True, True, True]
    assert found["success_drop"] == [1.0, 0.0, -1.0], "of 0, 1 and 2"
    assert (found["changed_words_before"], found["changed_words"]) == ([1, 3, 1], [5, 1, 1])
    assert found["transferred"] == [True]


def test_the_attack_on_training_sentences_is_the_other_one_cut_short():
    full = Seq2SickConfig(goal="keywords", num_keywords=2, margin=1.0)
    short = training_attack(full, HardenConfig())
    assert (short.steps, short.refine_rounds, short.candidates, short.beam) == (0, 4, 32, 1)
    assert replace(short, steps=30, refine_rounds=16, candidates=64, beam=2) == full


def test_the_card_says_what_was_done():
    draw = random.Random(0)
    names = ["bleu", "success", "success_disjoint", "success_half_bleu", "changed_words"]
    results = {
        name: {"value": draw.random(), "low": 0.1, "high": 0.9, "n": 7}
        for name in [*names, *(f"{name}_before" for name in names), "transferred"]
    }
    results["success"]["value"], results["success_before"]["value"] = 0.25, 0.75
    results["changed_words"] = {"value": None, "low": None, "high": None, "n": 0}
    section = card_section(results, HardenConfig(adversarial_label="clean_output"))
    assert "| Success of Seq2Sick | 75.0 % [10.0, 90.0], n = 7 | 25.0 % [10.0, 90.0], n = 7 |" in section
    assert "the model's own output" in section and "a control" not in section and "| - |" in section
    assert "random word(s) changed: a control" in card_section(results, HardenConfig(adversary="random_words"))


@pytest.mark.parametrize(
    ("name", "value"), [("rounds", 0), ("adversarial_share", 0.0), ("adversarial_share", 1.5), ("attack_steps", -1)]
)
def test_values_that_make_no_hardening_are_refused(name, value):
    with pytest.raises(BadInput, match=f"--{name} must be "):
        HardenConfig(**{name: value})
