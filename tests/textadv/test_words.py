"""Words of text against hand-worked cases, and against brute force on random sentences."""

import math
import random
from functools import cache

import pytest
from sacrebleu.metrics.bleu import BLEU

from textadv import words

VOCABULARY = ["Ein", "ein", "Hund", "Mann", "läuft", "T-Shirt", "3.5", ",", ".", "!", "im"]


def random_pairs(seed: int, count: int = 300) -> list[tuple[str, str]]:
    """Pairs of short sentences over few words, so that they meet often; some empty, some of equal length."""
    generator = random.Random(seed)

    def sentence(length: int) -> str:
        return " ".join(generator.choices(VOCABULARY, k=length))

    pairs = []
    for _ in range(count):
        length = generator.randrange(10)
        other = length if generator.random() < 0.5 else generator.randrange(10)
        pairs.append((sentence(length), sentence(other)))
    return pairs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ein Mann im T-Shirt läuft.", ["Ein", "Mann", "im", "T-Shirt", "läuft", "."]),
        ("the man's dogs' bowl", ["the", "man's", "dogs", "'", "bowl"]),
        ("l’été", ["l’été"]),
        ("3.5 m, 1,000 km um 10:30...", ["3.5", "m", ",", "1,000", "km", "um", "10:30", ".", ".", "."]),
        ("Ende.Anfang -- (ja)", ["Ende", ".", "Anfang", "-", "-", "(", "ja", ")"]),
        ("für 5€", ["für", "5", "€"]),
        ("हिन्दी किताब", ["हिन्दी", "किताब"]),
        (" \t\n", []),
        ("", []),
    ],
)
def test_split_words(text, expected):
    assert words.split_words(text) == expected


def test_one_word_has_one_spelling():
    """ü as one code point and as u with a combining mark."""
    assert words.split_words("f\u00fcr") == words.split_words("fu\u0308r")
    assert words.changed_words("f\u00fcr", "fu\u0308r") == 0


def test_nothing_but_white_space_is_lost():
    text = "  Ein Mann,\tder (3.5 m)\n springt!  "
    assert "".join(space + word for space, word in words.spaced_words(text)) == text.rstrip()


@pytest.mark.parametrize(
    ("original", "adversarial", "in_original", "in_adversarial", "count"),
    [
        ("a b c", "a b c", [], [], 0),
        ("a man runs .", "a dog runs .", [1], [1], 1),
        ("a b", "b a", [0, 1], [0, 1], 2),  # equal counts: by position
        ("Man", "man", [0], [0], 1),  # case counts
        ("a b c", "a c", [1], [], 1),  # b dropped
        ("a c", "a b c", [], [1], 1),  # b added
        ("a b c d", "x b d", [0, 2], [0], 2),  # a -> x, c dropped
        ("", "a b", [], [0, 1], 2),
        ("", "", [], [], 0),
    ],
)
def test_changed_words(original, adversarial, in_original, in_adversarial, count):
    assert words.changed_positions(original, adversarial) == in_original
    assert words.changed_positions(adversarial, original) == in_adversarial
    assert words.changed_words(original, adversarial) == count


def levenshtein(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """By the recursive definition."""

    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        same = distance(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(same, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(first), len(second))


def test_changed_words_against_the_definition():
    for original, adversarial in random_pairs(seed=1):
        first, second = original.split(), adversarial.split()  # the vocabulary is split already
        changed = words.changed_positions(original, adversarial)
        if len(first) == len(second):
            assert words.changed_words(original, adversarial) == sum(map(str.__ne__, first, second))
            assert len(changed) == words.changed_words(original, adversarial)
            continue
        edits = words.changed_words(original, adversarial)
        assert edits == levenshtein(tuple(first), tuple(second))
        # What isn't changed is kept in order; the rest of both sides is substituted, dropped or added.
        kept = [word for i, word in enumerate(first) if i not in changed]
        remaining = iter(second)
        assert all(word in remaining for word in kept)
        added_or_substituted = len(second) - len(kept)
        assert max(len(changed), added_or_substituted) <= edits <= len(changed) + added_or_substituted


@pytest.mark.parametrize(
    ("clean", "adversarial", "overlap", "no_position", "disjoint"),
    [
        ("Ein Mann läuft.", "Zwei Hunde spielen.", [], True, True),  # the final point isn't compared
        ("Ein Mann läuft.", "Zwei Mann spielen.", [1], False, False),
        ("Ein Mann läuft.", "Dort Ein Mann läuft.", [], True, False),  # one word in front defeats positions
        ("Ein Mann läuft.", "Mann Ein spielt!?", [], True, False),
        (
            "Ein Mann, der läuft",
            "Zwei Hunde, die spielen",
            [2],
            False,
            True,
        ),  # inner comma
        ("Ein Mann", "ein Hund", [], True, True),  # case counts
        ("a b c d", "x y", [], True, True),  # exactly half is enough
        ("a b c d e", "x y", [], False, False),  # less is not
        ("a b c d", "x . . .", [], False, False),  # final marks don't make up for it
        ("a b", "", [], False, False),
        ("a b", "...", [], False, False),
        ("", "", [], False, False),
        ("", "x", [], True, True),
    ],
)
def test_outputs_in_common(clean, adversarial, overlap, no_position, disjoint):
    assert words.overlapping_positions(clean, adversarial) == overlap
    assert words.shares_no_position(clean, adversarial) is no_position
    assert words.disjoint(clean, adversarial) is disjoint


def test_outputs_in_common_against_brute_force():
    marks = {",", ".", "!"}
    seen = set()
    for clean, adversarial in random_pairs(seed=2):
        first, second = clean.rstrip(" ,.!").split(), adversarial.rstrip(" ,.!").split()
        shared = [i for i in range(min(len(first), len(second))) if first[i] == second[i]]
        enough = len(second) >= max(1, len(first) / 2)
        common = [word for word in first if word not in marks and word in second]
        assert words.overlapping_positions(clean, adversarial) == shared
        assert words.shares_no_position(clean, adversarial) == (enough and not shared)
        assert words.disjoint(clean, adversarial) == (enough and not common)
        seen.add((enough, not shared, not common))
    assert len(seen) >= 6  # the random pairs do visit the cases


@pytest.mark.parametrize(
    ("output", "keywords", "expected"),
    [
        ("Ein Hund sitzt.", ["Hund"], True),
        ("Ein Hund sitzt.", ["sitzt", "Hund"], True),
        ("Ein Hund sitzt.", ["hund"], False),  # case
        ("Ein Hundehaus.", ["Hund"], False),  # whole words
        ("Ein Hund-Haus.", ["Hund"], False),
        ("Ein Hund sitzt.", ["Hund", "Hund"], False),
        ("Ein Hund und ein Hund.", ["Hund", "Hund"], True),
        ("Ein Hund sitzt.", ["Hund", "Katze"], False),
        ("", ["Hund"], False),
        ("Ein Hund.", [], True),
    ],
)
def test_contains_words(output, keywords, expected):
    assert words.contains_words(output, keywords) is expected


def test_input_bleu_by_hand():
    """One of six words changed, the second: precisions 5/6, 3/5, 2/4, 1/3, no brevity penalty."""
    score = words.input_bleu("a b c d e f", "a x c d e f")
    assert score == pytest.approx((5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert words.input_bleu("a b c d e f", "a b c d e f") == 1
    assert words.input_bleu("a b c d", "a b x d") == 0  # no 3-gram left, not smoothed
    # Two words: orders 1 and 2 only.
    assert words.input_bleu("Hallo Welt", "Hallo Welt") == 1
    # Clipped: one "a" of three counts; no bigram "a a" in the reference.
    assert words.input_bleu("a b", "a a a") == 0
    # Brevity: 4 words for 5, all precisions 1.
    assert words.input_bleu("a b c d e", "a b c d") == pytest.approx(math.exp(1 - 5 / 4))
    assert words.input_bleu("a b", "") == 0


def test_input_bleu_equals_sacrebleu_on_our_words():
    bleu = BLEU(tokenize="none", smooth_method="none", effective_order=True)
    scores = []
    for original, adversarial in random_pairs(seed=3):
        scores.append(words.input_bleu(original, adversarial))
        assert scores[-1] == pytest.approx(bleu.sentence_score(adversarial, [original]).score / 100)
    generator = random.Random(4)  # near copies, whose score isn't 0
    for _ in range(100):
        original = generator.choices(VOCABULARY, k=15)
        adversarial = [word if generator.random() < 0.9 else "Katze" for word in original]
        adversarial = adversarial[: generator.randrange(10, 16)]
        scores.append(words.input_bleu(" ".join(original), " ".join(adversarial)))
        expected = bleu.sentence_score(" ".join(adversarial), [" ".join(original)]).score / 100
        assert scores[-1] == pytest.approx(expected)
    assert sum(0 < score < 1 for score in scores) > 50


def test_output_bleu_by_hand():
    """Four words of which the last is another: precisions 3/4, 2/3, 1/2, and 0/1 smoothed to 1/2."""
    assert words.output_bleu("a b c d", "a b c x") == pytest.approx((3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)
    assert words.output_bleu("Ein Mann läuft.", "Ein Mann läuft .") == pytest.approx(1)  # 13a splits the mark
    assert words.output_bleu("a b c d", "w x y z") == 0
    assert words.output_bleu("a b c d", "") == 0
    assert words.output_bleu("", "a") == 0
    assert words.output_bleu("", " ") == 1
    assert all(0 <= words.output_bleu(clean, other) <= 1 for clean, other in random_pairs(seed=5))
