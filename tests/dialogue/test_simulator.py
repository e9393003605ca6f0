"""The scripted negotiators: both views tell one story, and the shares are those that were spoken of."""

import re
from itertools import pairwise

import pytest

from dialogue import simulator
from dialogue.configs import BadInput
from dialogue.data import load_dialogues, read_line
from dialogue.domain import ITEMS, NO_DEAL, SHARES
from dialogue.types import THEM, YOU


@pytest.fixture(scope="module")
def views():
    return load_dialogues(None, "test")


def test_two_views_are_one_dialogue(views):
    assert len(views) == 2 * simulator.DIALOGUES["test"]
    mirror = {YOU: THEM, THEM: YOU}
    for one, other in zip(views[::2], views[1::2], strict=True):
        assert one.scenario.swapped == other.scenario
        assert tuple(mirror.get(word, word) for word in one.words) == other.words
        assert one.outcome == other.outcome
        if one.outcome == "deal":
            taken = zip(SHARES[one.choice], SHARES[other.choice], strict=True)
            assert tuple(a + b for a, b in taken) == one.scenario.counts
        else:
            assert one.choice == other.choice == NO_DEAL
    assert 0.9 < sum(one.outcome == "deal" for one in views) / len(views) < 0.98
    assert len({one.words[0] for one in views}) == 2, "either may start"


def test_a_view_reads_as_a_line_of_the_corpus(views):
    for view in views[:100]:
        counts, values, theirs = view.scenario.counts, view.scenario.values, view.scenario.partner_values
        own, partner = (" ".join(f"{n} {v}" for n, v in zip(counts, side, strict=True)) for side in (values, theirs))
        output = " ".join(["<no_agreement>"] * 6)
        if view.choice != NO_DEAL:
            share = SHARES[view.choice]
            rest = [n - s for n, s in zip(counts, share, strict=True)]
            output = " ".join(f"item{i}={n}" for half in (share, rest) for i, n in enumerate(half))
        words = " ".join(view.words)
        line = f"<input> {own} </input> <dialogue> {words} </dialogue> <output> {output} </output>"
        assert read_line(f"{line} <partner_input> {partner} </partner_input>") == view


def test_a_deal_is_the_last_proposal_and_the_yes(views):
    """What either says for its speaker is read off its words, by another way than it was written."""
    for view in views:
        if view.outcome != "deal":
            continue
        *_, proposal, yes, _ = re.findall(r"(YOU:|THEM:) (.*?) ?(?:<eos>|<selection>)", " ".join(view.words))
        for speaker, said in (proposal, yes):
            found = spoken(said, view.scenario.counts)
            own = found if speaker == YOU else tuple(n - f for n, f in zip(view.scenario.counts, found, strict=True))
            assert SHARES[view.choice] == own, said


def spoken(said: str, counts: tuple[int, int, int]) -> tuple[int, ...]:
    """What a proposal wants for its speaker."""
    mine = re.search(
        r"(?:i want|i would like|can i have|i take|i get) (.*?)(?: \?| and you can| , you take| you can|$)", said
    )
    if mine:
        return items(mine[1], counts)
    left = items(re.search(r"you get (.*)", said)[1], counts)
    return tuple(n - f for n, f in zip(counts, left, strict=True))


def items(phrase: str, counts: tuple[int, int, int]) -> tuple[int, ...]:
    if phrase in ("everything", "nothing"):
        return counts if phrase == "everything" else (0, 0, 0)
    found = dict.fromkeys(ITEMS, 0)
    for part in phrase.split(" and "):
        how_many, name = part.split()
        found[name.removesuffix("s")] = 1 if how_many == "the" else int(how_many)
    return tuple(found.values())


def test_splits_share_no_table_and_are_always_the_same(views):
    tables = [{frozenset({one, one.swapped}) for one in simulator.scenarios(split)} for split in simulator.DIALOGUES]
    assert all(not one & other for one, other in pairwise([*tables, tables[0]]))
    assert sum(map(len, tables)) == len(set.union(*tables)) > 2_600
    assert {view.scenario for view in views} <= set(simulator.scenarios("test"))
    assert simulator.corpus("test") == views
    with pytest.raises(BadInput, match="no split 'dev'"):
        simulator.corpus("dev")
