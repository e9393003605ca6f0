"""Random words: every choice of places and pieces equally likely, and no more of them than asked for."""

import itertools
from collections import Counter

import pytest
import tiny
import torch
from scipy import stats

from textadv.attack import clean_batch
from textadv.baselines.random_words import random_pieces, random_sentences, random_words
from textadv.configs import BaselineConfig
from textadv.confirmation import Confirmation
from textadv.limits import Limits
from textadv.types import Example
from textadv.vocabulary import Vocabulary

TEXTS = ["the cat sees ox☃ a tree.", "dog runs", "ox☃ 3.5"]


class Unreachable:
    """A goal that no output meets."""

    margin = 0.0

    def violations(self, row: int, output: str) -> int:
        return 1 + len(output) % 3


@pytest.fixture(scope="module")
def batch():
    return limited_to(3)


def limited_to(most: int):
    """The sentences, with a budget of words."""
    vocabulary = Vocabulary(tiny.victim(tiny.unigram()), corpus=["tree street cat big waits"], min_count=1)
    examples = [Example(i, text) for i, text in enumerate(TEXTS)]
    return clean_batch(vocabulary, examples, limits=Limits(max_words=most))


def pieces_for(sources, row: int, position: int) -> list[int]:
    """What may be written there, and isn't there already."""
    allowed = sources.vocabulary.allowed[sources.places[row, position]].nonzero().squeeze(1).tolist()
    return [piece for piece in allowed if piece != sources.ids[row, position]]


@pytest.mark.parametrize("words", [1, 2])
def test_places_and_pieces_are_uniform(batch, words):
    """Chi-square over all sentences that can be made; some of the original words are allowed ones, some aren't."""
    sources, count = batch.sources, 12_000
    places = sources.changeable[0].nonzero().squeeze(1).tolist()
    options = {place: pieces_for(sources, 0, place) for place in places}
    assert len(places) == 5 and {len(pieces) for pieces in options.values()} == {4, 5}
    rows, numbers = torch.zeros(count, dtype=torch.long), torch.arange(count)
    ids = random_sentences(sources, rows, words, torch.full((count,), 77), numbers)
    assert (sources.changed(rows, ids) == words).all()
    assert torch.equal(ids[:, ~sources.changeable[0]], sources.ids[rows][:, ~sources.changeable[0]])
    found = Counter(map(tuple, ids.tolist()))
    expected = {}
    subsets = list(itertools.combinations(places, words))
    for subset in subsets:
        combinations = list(itertools.product(*(options[place] for place in subset)))
        for pieces in combinations:
            sentence = sources.ids[0].tolist()
            for place, piece in zip(subset, pieces, strict=True):
                sentence[place] = piece
            expected[tuple(sentence)] = count / len(subsets) / len(combinations)
    assert set(found) <= set(expected)
    assert min(expected.values()) > 5
    assert stats.chisquare([found[key] for key in expected], list(expected.values())).pvalue > 1e-3


def test_where_no_other_piece_is_allowed_the_word_stays(batch):
    vocabulary = Vocabulary(batch.sources.vocabulary.victim, corpus=["cat"], min_count=1)
    sources = clean_batch(vocabulary, [Example(0, "the cat sees")]).sources
    own, places = sources.ids[0, :3], sources.places[0, :3]
    for draw in (1e-9, 0.5, 1 - 1e-9):
        found = random_pieces(torch.full((3,), draw, dtype=torch.float64), places, own, sources)
        assert sources.vocabulary.victim.decode(found[1:, None]) == ["cat", "cat"]
        assert found[1] == own[1]


@pytest.mark.parametrize(("tries", "most"), [(7, 3), (2, 3), (40, 2)])
def test_tries_are_spread_over_the_numbers_of_words(tries, most, monkeypatch):
    """7 tries of up to 3 words: 3 with one word, 2 with two, 2 with three. Short sentences get their share of that."""
    batch = limited_to(most)
    confirmed = Confirmation(batch.victim, batch.sources, Unreachable(), batch.outputs)  # type: ignore[arg-type]
    shown = []
    show = confirmed.show

    def watched(rows, ids, *, by):
        shown.extend(zip(rows.tolist(), batch.sources.changed(rows, ids).tolist(), strict=True))
        return show(rows, ids, by=by)

    monkeypatch.setattr(confirmed, "show", watched)
    config = BaselineConfig(tries=tries)
    gone = []
    random_words(confirmed, torch.arange(3), config, torch.tensor([1, 2, 3]), gone.append)
    changeable = batch.sources.changeable.sum(1).tolist()
    assert changeable == [5, 2, 0]
    expected = Counter()
    for i in range(tries):
        words = 1 + i % most
        expected += Counter((row, words) for row in range(3) if words <= changeable[row])
    assert Counter(shown) == expected
    assert not confirmed.solved.any()


def test_successes_leave(batch):
    """Any change at all meets the goal: one word is enough, and nothing is tried after it."""

    class Easy(Unreachable):
        def violations(self, row: int, output: str) -> int:
            return 0

    confirmed = Confirmation(batch.victim, batch.sources, Easy(), batch.outputs)  # type: ignore[arg-type]
    before, gone = list(batch.victim.queries), []
    config = BaselineConfig(tries=9)
    random_words(confirmed, torch.arange(2), config, torch.tensor([5, 6]), gone.append)
    assert confirmed.words.tolist()[:2] == [1, 1] and confirmed.claimed[:2] == [True, True]
    assert confirmed.found_by[:2] == ["random words"] * 2
    assert sum(gone) == 2
    assert all(1 <= b - a <= 3 for a, b in zip(before[:2], batch.victim.queries[:2], strict=True))
