"""Putting words back: fewer changes, still confirmed, and none left that could be put back."""

import pytest
import torch

from textadv.attack import clean_batch, keywords_goal, non_overlapping_goal
from textadv.configs import VictimConfig
from textadv.confirmation import Confirmation
from textadv.restoration import restore
from textadv.types import Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary

SENTENCES = [
    "A man is buying an apple.",
    "The dog is sleeping in the garden.",
    "A woman sees a tree.",
    "The cat runs.",
]


@pytest.fixture(scope="module", params=[1, 3], ids=["greedy", "beams"])
def victim(request) -> Victim:
    """The embedded victim in float64, reported greedily and with beams."""
    found = Victim.from_pretrained(VictimConfig(num_beams=request.param))
    found.model.double()
    return found


def scrambled(sources, seed: int) -> torch.Tensor:
    """The sentences with other allowed pieces in most of the places that may change."""
    draw = torch.Generator().manual_seed(seed)
    ids = sources.ids.clone()
    for row, position in sources.changeable.nonzero().tolist():
        allowed = sources.vocabulary.allowed[sources.places[row, position]].nonzero().squeeze(1)
        if torch.rand(1, generator=draw) < 0.8:
            ids[row, position] = allowed[torch.randint(len(allowed), (1,), generator=draw)]
    return ids


def put_back(sources, row: int, ids: torch.Tensor) -> list[str]:
    """The texts that arise when one changed word is put back, for each of them."""
    texts = []
    for position in (ids != sources.ids[row]).nonzero().squeeze(1).tolist():
        restored = ids.clone()
        restored[position] = sources.ids[row, position]
        texts += sources.text(torch.tensor([row]), restored[None])
    return texts


@pytest.mark.parametrize("wanted", ["non_overlapping", "keywords"])
def test_no_word_is_left_that_could_be_put_back(victim, wanted):
    vocabulary = Vocabulary(victim, corpus=["man woman dog cat tree apple bread sleeping runs"], min_count=1)
    examples = [Example(i, text, keywords=("Katze",)) for i, text in enumerate(SENTENCES)]
    batch = clean_batch(vocabulary, examples)
    goal = non_overlapping_goal(batch)
    if wanted == "keywords":
        goal = keywords_goal(batch, count=1, pool=(), seed=0)
    confirmed = Confirmation(batch.victim, batch.sources, goal, batch.outputs)
    rows = torch.arange(len(SENTENCES))
    for seed in range(12):
        confirmed.offer(rows, scrambled(batch.sources, seed), by="chance")
    before, solved = confirmed.words.clone(), confirmed.solved
    several = solved & (before > 1)
    assert several.sum() >= 2  # else the sentences above say nothing

    restore(confirmed, rows)
    assert torch.equal(confirmed.solved, solved)
    assert (confirmed.words <= before).all()
    assert (confirmed.words < before)[several].any()
    for row in solved.nonzero().squeeze(1).tolist():
        ids, text = confirmed.ids[row], confirmed.texts[row]
        assert confirmed.words[row] == (ids != batch.sources.ids[row]).sum()
        assert text == batch.sources.text(torch.tensor([row]), ids[None])[0]
        [output] = victim.generate([text])
        assert output == confirmed.outputs[row]
        assert goal.violations(row, output) == 0
        assert (confirmed.found_by[row] == "restoration") == (confirmed.words[row] < before[row]).item()
        if confirmed.words[row] > 1:
            assert all(goal.violations(row, output) for output in victim.generate(put_back(batch.sources, row, ids)))


def test_one_word_failures_and_other_rows_are_left_alone(victim):
    batch = clean_batch(Vocabulary(victim), [Example(i, text) for i, text in enumerate(SENTENCES)])

    class Anything:
        margin = 0.0

        def violations(self, row: int, output: str) -> int:
            return 0

    confirmed = Confirmation(batch.victim, batch.sources, Anything(), batch.outputs)
    ids = scrambled(batch.sources, 0)
    one = batch.sources.ids.clone()
    place = int(batch.sources.changeable[0].nonzero()[0])
    one[0, place] = ids[0, place] = next(i for i in ids[0].tolist() if i != one[0, place])
    confirmed.words[0], confirmed.ids[0] = 1, one[0]
    confirmed.words[2:], confirmed.ids[2:] = batch.sources.changed(torch.tensor([2, 3]), ids[2:]), ids[2:]
    before, queries = confirmed.words.clone(), list(batch.victim.queries)
    restore(confirmed, torch.tensor([0, 1, 3]))  # a word, a failure, a success; row 2 isn't asked for
    assert torch.equal(confirmed.words[:3], before[:3])
    assert batch.victim.queries[:3] == queries[:3]
    assert confirmed.words[3] == 1  # all but one could be put back
    assert batch.victim.queries[3] > queries[3]
