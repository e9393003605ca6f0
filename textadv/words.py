"""Words of decoded text, and what two texts have in common, counted in words.

A word is a run of letters, digits and combining marks. A hyphen or an apostrophe between two of them stays
inside ("T-Shirt", "man's"), and so does a point, comma or colon between two digits ("3.5", "10:30"). Every
other character that isn't white space is a word of its own ("..." is three). Case is kept; text is brought to
Unicode's composed form (NFC) first, so that one word has one spelling. Scripts without spaces between words
(Chinese, Thai) are split at punctuation only.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
import regex
from sacrebleu.metrics.bleu import BLEU

_LETTERS = r"[\p{L}\p{M}\p{N}\p{Cf}_]+"
_INSIDE = r"(?:[-'’‐‑]|(?<=\p{N})[.,:](?=\p{N}))"
_SPACED_WORD = regex.compile(rf"(\s*)({_LETTERS}(?:{_INSIDE}{_LETTERS})*|\S)")

# Smoothing keeps one missing 4-gram from sending a whole sentence to 0.
_SMOOTHED_BLEU = BLEU(smooth_method="exp", effective_order=True)


def spaced_words(text: str) -> list[tuple[str, str]]:
    """Each word with the white space in front of it; joined, they are the text up to its last word."""
    return _SPACED_WORD.findall(unicodedata.normalize("NFC", text))


def split_words(text: str) -> list[str]:
    """The words of a text by the rule above; an empty list for an empty or blank text."""
    return [word for _, word in spaced_words(text)]


def is_punctuation(word: str) -> bool:
    """Whether a word holds no letter and no digit."""
    return not any(character.isalnum() for character in word)


def without_final_punctuation(words: Sequence[str]) -> list[str]:
    """The words up to the last one that isn't punctuation."""
    end = len(words)
    while end and is_punctuation(words[end - 1]):
        end -= 1
    return list(words[:end])


def changed_words(original: str, adversarial: str) -> int:
    """How many words of the original were changed.

    With equal numbers of words, as after substitutions, the positions that differ; otherwise the least number
    of words to substitute, add or drop (Levenshtein distance over words).
    """
    first, second = split_words(original), split_words(adversarial)
    if len(first) == len(second):
        return sum(a != b for a, b in zip(first, second, strict=True))
    return edit_distance(first, second)


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """The least number of words to substitute, add or drop (Levenshtein distance over words)."""
    return int(_edit_distances(first, second)[-1, -1])


def share(count: int, total: int) -> float:
    """count / total; of nothing, none is 0 and some is NaN."""
    if total == 0:
        return math.nan if count else 0.0
    return count / total


def changed_positions(original: str, adversarial: str) -> list[int]:
    """Positions, from 0, of the words of `original` that `adversarial` doesn't hold there.

    With unequal numbers of words, those that a shortest edit substitutes or drops. Exchange the arguments to
    get the positions in the adversarial text.
    """
    first, second = split_words(original), split_words(adversarial)
    if len(first) == len(second):
        return [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    distances = _edit_distances(first, second)
    changed = []
    i, j = len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            i, j = i - 1, j - 1
        elif distances[i, j] == distances[i - 1, j - 1] + 1:
            i, j = i - 1, j - 1
            changed.append(i)
        elif distances[i, j] == distances[i - 1, j] + 1:
            i -= 1
            changed.append(i)
        else:
            j -= 1
    return [*range(i), *reversed(changed)]


def _edit_distances(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """Levenshtein distances between all prefixes, shape (len(first) + 1, len(second) + 1)."""
    numbers: dict[str, int] = {}
    rows = [numbers.setdefault(word, len(numbers)) for word in first]
    columns = np.array([numbers.setdefault(word, len(numbers)) for word in second], dtype=np.int64)
    added = np.arange(len(columns) + 1)
    distances = np.empty((len(rows) + 1, len(columns) + 1), dtype=np.int64)
    distances[0] = added
    for i, word in enumerate(rows, start=1):
        best = distances[i - 1] + 1  # drop the word
        best[1:] = np.minimum(best[1:], distances[i - 1, :-1] + (columns != word))  # keep or substitute it
        # Added words make each entry depend on its left neighbour: min over j' <= j of best[j'] + (j - j').
        distances[i] = np.minimum.accumulate(best - added) + added
    return distances


def overlapping_positions(clean: str, adversarial: str) -> list[int]:
    """Positions up to the shorter output where both hold the same word; final punctuation isn't compared."""
    first = without_final_punctuation(split_words(clean))
    second = without_final_punctuation(split_words(adversarial))
    return [i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a == b]


def too_short(clean: str, adversarial: str) -> bool:
    """Whether an output says too little to count: no word, or fewer than half as many as the clean output.

    Final punctuation isn't counted on either side.
    """
    length = len(without_final_punctuation(split_words(adversarial)))
    return length == 0 or 2 * length < len(without_final_punctuation(split_words(clean)))


def shares_no_position(clean: str, adversarial: str) -> bool:
    """Seq2Sick's non-overlap, (2.8), on words of text: no position holds the clean output's word.

    An output that is `too_short` fails: saying nothing is no answer of another kind.
    """
    return not too_short(clean, adversarial) and not overlapping_positions(clean, adversarial)


def disjoint(clean: str, adversarial: str) -> bool:
    """Whether two outputs have no word in common at any positions, punctuation aside; `too_short` fails.

    Stricter than `shares_no_position`, which one word put in front of an unchanged output defeats.
    """
    common = set(split_words(clean)) & set(split_words(adversarial))
    return not too_short(clean, adversarial) and all(is_punctuation(word) for word in common)


def contains_words(output: str, keywords: Sequence[str]) -> bool:
    """Whether every keyword is in the output as a whole word, a keyword given twice at least twice.

    A keyword of several words asks for each of them, in any place. No keywords: true.
    """
    wanted = Counter(word for keyword in keywords for word in split_words(keyword))
    return wanted <= Counter(split_words(output))


def input_bleu(original: str, adversarial: str) -> float:
    """How much of the source is left, 0 to 1: the paper's "exponential average over BLEU 1, 2, 3, 4".

    The geometric mean of the clipped n-gram precisions of `adversarial` against `original`, n = 1 to 4, times
    the brevity penalty; not smoothed, so 0 as soon as one precision is. Fewer than four words are judged by
    the n-grams that they have. Source: Papineni et al., ACL 2002, on the words of this file.
    """
    reference, hypothesis = split_words(original), split_words(adversarial)
    logarithms = []
    for n in range(1, min(4, len(hypothesis)) + 1):
        there, here = _ngrams(reference, n), _ngrams(hypothesis, n)
        matches = (there & here).total()
        if matches == 0:
            return 0.0
        logarithms.append(math.log(matches / here.total()))
    if not logarithms:
        return 0.0
    brevity = min(0.0, 1 - len(reference) / len(hypothesis))
    return math.exp(brevity + sum(logarithms) / len(logarithms))


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def output_bleu(clean: str, adversarial: str) -> float:
    """How much of the clean output is left, 0 to 1: sacrebleu's sentence BLEU on 13a words, smoothed (exp).

    At most 0.5 is the third notion of success, "half BLEU". Two empty outputs are equal, hence 1.
    """
    if clean.split() == adversarial.split():
        return 1.0
    return min(1.0, _SMOOTHED_BLEU.sentence_score(adversarial, [clean]).score / 100)  # 100.00000000000004
