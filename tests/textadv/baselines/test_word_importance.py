"""Word-importance ranking against a plain loop over texts, one sentence and one output at a time."""

import pytest
import torch

from textadv.attack import clean_batch, keywords_goal, non_overlapping_goal
from textadv.baselines.word_importance import ranking, word_candidates, word_importance
from textadv.configs import BadInput, BaselineConfig, VictimConfig
from textadv.confirmation import Confirmation
from textadv.limits import Limits
from textadv.noise import example_seeds
from textadv.types import Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary

SENTENCES = ["A man is buying an apple.", "The dog (ox☃) is sleeping.", "A woman sees a tree, in the garden."]
MARKS = ".,()"


@pytest.fixture(scope="module")
def batch():
    return limited_to(None)


def limited_to(most: int | None):
    """The sentences, with a budget of words."""
    victim = Victim.from_pretrained(VictimConfig(num_beams=2, max_new_tokens=24))
    victim.model.double()
    examples = [Example(i, text) for i, text in enumerate(SENTENCES)]
    vocabulary = Vocabulary(victim, corpus=["man woman dog cat tree apple the is bread"], min_count=1)
    return clean_batch(vocabulary, examples, limits=Limits(max_words=most))


def goals(batch):
    return {
        "non_overlapping": non_overlapping_goal(batch),
        "keywords": keywords_goal(batch, count=2, pool=["Hund", "Baum", "Katze", "Apfel", "Brot"], seed=2),
    }


def exchanged(text: str, number: int, word: str) -> str:
    """A text with another word in place of its word `number`, punctuation behind it kept."""
    chunks = text.split()
    core = chunks[number].rstrip(MARKS)
    chunks[number] = word + chunks[number][len(core) :]
    return " ".join(chunks)


def chunk_of(sources, row: int, position: int) -> int:
    """The number of the word at a position, found by writing something else there."""
    [text] = sources.text_with("#", torch.tensor([row]), torch.tensor([position]))
    [number] = [i for i, (a, b) in enumerate(zip(text.split(), SENTENCES[row].split(), strict=True)) if a != b]
    return number


def plain_loop(batch, goal, row: int, candidates: dict[int, list[str]], most: int) -> tuple[str, list[str]]:
    """The recipe on one text.

    Args:
        candidates: by position.

    Returns:
        the text that it ends with, and every text that the victim was shown.
    """
    victim, shown = batch.sources.vocabulary.victim, []

    def violations(text: str) -> int:
        shown.append(text)
        return goal.violations(row, victim.generate([text])[0])

    chunks = {position: chunk_of(batch.sources, row, position) for position in candidates}
    masked = {p: violations(exchanged(SENTENCES[row], chunks[p], "[UNK]")) for p in sorted(candidates)}
    text, score, changed = SENTENCES[row], goal.violations(row, batch.outputs[row]), 0
    for position in sorted(candidates, key=lambda p: (masked[p], p)):
        if changed == most or score == 0:
            break
        tries = [exchanged(text, chunks[position], word) for word in candidates[position]]
        scores = [violations(one) for one in tries]
        if min(scores) < score:
            score, text, changed = min(scores), tries[scores.index(min(scores))], changed + 1
    return text, shown


@pytest.mark.parametrize(("count", "most"), [(4, 1), (3, 2), (100, 3)])
@pytest.mark.parametrize("wanted", ["non_overlapping", "keywords"])
def test_it_is_the_plain_loop(wanted, count, most, monkeypatch):
    batch = limited_to(most)
    goal, sources, vocabulary = goals(batch)[wanted], batch.sources, batch.sources.vocabulary
    seeds, rows = example_seeds(3, range(3)), torch.arange(3)
    confirmed = Confirmation(batch.victim, sources, goal, batch.outputs)
    shown: list[list[str]] = [[], [], []]
    generate = batch.victim.generate

    def watched(texts, rows):
        for row, text in zip(rows.tolist(), texts, strict=True):
            shown[row].append(text)
        return generate(texts, rows)

    monkeypatch.setattr(batch.victim, "generate", watched)
    config = BaselineConfig(baseline="word_importance", word_candidates=count)
    word_importance(confirmed, rows, config, seeds, lambda gone: None)
    for row in range(3):
        candidates = {}
        for position in sources.changeable[row].nonzero().squeeze(1).tolist():
            pieces, real = word_candidates(
                confirmed, rows[row : row + 1], torch.tensor([position]), count, seeds[row : row + 1]
            )
            candidates[position] = [vocabulary.surface[piece] for piece in pieces[real].tolist()]
        text, expected = plain_loop(batch, goal, row, candidates, most)
        assert sorted(shown[row]) == sorted(set(expected))  # a text is decoded once only
        solved = goal.violations(row, batch.sources.vocabulary.victim.generate([text])[0]) == 0
        assert confirmed.solved[row] == confirmed.claimed[row] == solved
        if solved:
            assert confirmed.texts[row] == text and confirmed.words[row] <= most
            assert confirmed.found_by[row] == "word importance"


def test_ranking_is_by_the_output_without_the_word(batch):
    victim, goal = batch.sources.vocabulary.victim, goals(batch)["non_overlapping"]
    confirmed = Confirmation(batch.victim, batch.sources, goal, batch.outputs)
    order = ranking(confirmed, torch.tensor([2, 0]))
    for line, row in enumerate((2, 0)):
        places = batch.sources.changeable[row].nonzero().squeeze(1).tolist()
        texts = {p: exchanged(SENTENCES[row], chunk_of(batch.sources, row, p), "[UNK]") for p in places}
        found = {p: goal.violations(row, victim.generate([text])[0]) for p, text in texts.items()}
        assert order[line, : len(places)].tolist() == sorted(places, key=lambda p: (found[p], p))
        assert len(set(found.values())) > 1


def test_candidates_are_different_allowed_words(batch):
    sources = batch.sources
    confirmed = Confirmation(batch.victim, sources, goals(batch)["non_overlapping"], batch.outputs)
    row, position = sources.changeable.nonzero().unbind(1)
    allowed = sources.vocabulary.allowed[sources.places[row, position]]
    drawn = set()
    for count in (3, 100):
        for seed in range(20):
            seeds = example_seeds(seed, range(3))[row]
            pieces, real = word_candidates(confirmed, row, position, count, seeds)
            for i in range(len(row)):
                options = set(allowed[i].nonzero().squeeze(1).tolist()) - {int(sources.ids[row[i], position[i]])}
                found = pieces[i][real[i]].tolist()
                assert len(found) == len(set(found)) == min(count, len(options))
                assert set(found) <= options
                drawn |= {(i, piece) for piece in found} if count == 3 else set()
    assert len(drawn) > 0.9 * sum(len(set(line.nonzero().squeeze(1).tolist())) - 1 for line in allowed)


def test_pieces_of_words_are_refused():
    with pytest.raises(BadInput, match="whole words"):
        BaselineConfig(baseline="word_importance", whole_words=False)
