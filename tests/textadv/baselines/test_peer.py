"""A peer's sentence is judged by our rule, whatever it says itself, and its questions are counted."""

import pytest

from textadv.baselines.peer import peer
from textadv.configs import VictimConfig
from textadv.types import Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary
from textadv.words import shares_no_position

SENTENCES = ["A man is buying an apple.", "  ", "The dog is sleeping.", "A woman sees a tree, in the garden."]
OTHERS = ["The dog is sleeping.", "A man is buying an apple.", "Two tall trees.", "a womann sees a tree ."]


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(Victim.from_pretrained(VictimConfig(num_beams=2, max_new_tokens=24)))


class Fake:
    """A peer that tries every sentence of OTHERS twice, and ends with the one that has its turn."""

    def __init__(self, claims: bool) -> None:
        self.claims, self.seeds, self.seen = claims, [], []

    def __call__(self, sentence, clean_output, victim, *, seed):
        assert victim(OTHERS) == victim(OTHERS) and victim([sentence]) == [clean_output] and victim([]) == []
        self.seen.append((sentence, clean_output))
        self.seeds.append(seed)
        return OTHERS[SENTENCES.index(sentence)], self.claims


@pytest.mark.parametrize("claims", [False, True])
def test_records_say_what_our_rule_says(vocabulary, claims):
    fake, told = Fake(claims), []
    examples = [Example(i, text) for i, text in enumerate(SENTENCES)]
    records = peer(vocabulary, examples, search=fake, name="fake", seed=3, on_finished=told.append)
    clean = vocabulary.victim.generate([text for text in SENTENCES if text.strip()])
    assert fake.seen == list(zip([text for text in SENTENCES if text.strip()], clean, strict=True))
    assert told == [1, 1, 1] and records[1].skipped and records[1].queries == 0
    assert len({record.success for record in records if not record.skipped}) == 2, "else this tests little"
    for record, text in zip(records, OTHERS, strict=True):
        if record.skipped:
            continue
        [output] = vocabulary.victim.generate([text])
        assert (record.adversarial, record.adversarial_output) == (text, output)
        assert record.success == shares_no_position(record.clean_output, output)
        assert record.found_by == ("fake" if record.success else None)
        assert record.search_success == claims
        different = {record.original, *OTHERS}
        assert record.queries == len(different)  # the clean output is the first; repetitions are free
    # By hand: the last is a shortest edit of 2 words exchanged and 4 dropped.
    assert [record.changed_words for record in records] == [5, 0, 4, 6]


def test_nothing_changed_is_no_success(vocabulary):
    [record] = peer(
        vocabulary, [Example(0, SENTENCES[0])], search=lambda text, *_, seed: (text, True), name="idle", seed=0
    )
    assert not record.success and record.search_success and record.adversarial == SENTENCES[0]
    assert (record.queries, record.changed_words) == (1, 0)


def test_seeds_are_the_examples_own(vocabulary):
    """Neither order nor batch matter; the run's seed does; any library takes them."""
    examples = [Example(i, text) for i, text in enumerate(SENTENCES)]
    seeds = {}
    for name, batch, seed in [("all", examples, 3), ("reversed", examples[::-1], 3), ("other", examples, 4)]:
        fake = Fake(True)
        peer(vocabulary, batch, search=fake, name="fake", seed=seed)
        seeds[name] = fake.seeds
    assert seeds["all"] == seeds["reversed"][::-1] != seeds["other"]
    assert len(set(seeds["all"])) == 3 and all(0 <= seed < 2**32 for seed in seeds["all"])
