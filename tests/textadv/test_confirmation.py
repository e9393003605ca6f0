"""Nothing is a success until its text has been decoded as it is reported, and no text is decoded twice."""

import pytest
import tiny
import torch

from textadv.confirmation import NONE_YET, Confirmation
from textadv.sources import Sources
from textadv.types import CountedVictim
from textadv.vocabulary import Vocabulary

TEXTS = ["the dog sees a cat.", "a man waits near the river", "the child runs."]


class Contains:
    """A goal: the output holds "river"; else as many violations as it has letters."""

    margin = 0.0

    def violations(self, row, output):
        return 0 if "river" in output else max(len(output), 1)


class Beams:
    """A victim whose reported output is what `says` makes of the text, whatever its greedy outputs are."""

    def __init__(self, victim, says):
        self._victim, self._says, self.shown = victim, says, []

    def generate(self, texts):
        self.shown.extend(texts)
        return [self._says(text) for text in texts]

    def decode(self, outputs):
        return self._victim.decode(outputs)


@pytest.fixture
def setting():
    """`made(says)`: a Confirmation whose reported outputs are those of `says`, and the spy that it asks."""
    victim = tiny.victim(tiny.unigram())
    sources = Sources(Vocabulary(victim), TEXTS)

    def made(says):
        spy = Beams(victim, says)
        return Confirmation(CountedVictim(spy, len(TEXTS)), sources, Contains(), ["clean"] * len(TEXTS)), spy

    return made


def changed(confirmed, row, **words):
    """Pieces (T,) of a sentence with words exchanged: changed(c, 0, dog="cat")."""
    piece = confirmed.sources.vocabulary.victim.tokenizer.convert_tokens_to_ids
    ids = confirmed.sources.ids[row].clone()
    for old, new in words.items():
        assert (ids == piece(f"▁{old}")).any()
        ids[ids == piece(f"▁{old}")] = piece(f"▁{new}")
    return ids


def offer(confirmed, *rows_and_ids, **options):
    rows = torch.tensor([row for row, _ in rows_and_ids])
    ids = torch.stack([ids for _, ids in rows_and_ids])
    return confirmed.offer(rows, ids, by="test", **options).tolist()


def test_a_greedy_success_that_beams_do_not_share_is_only_claimed(setting):
    confirmed, spy = setting("always something else".__add__)
    ids = changed(confirmed, 0, dog="street")
    greedy = confirmed.sources.vocabulary.victim.tokenizer("the river", return_tensors="pt")["input_ids"]
    assert confirmed.judge(torch.tensor([0]), ids[None], greedy, torch.zeros(1)).tolist() == [0]
    assert confirmed.claimed == [True, False, False]
    assert spy.shown == [] and not confirmed.solved.any(), "a greedy output confirms nothing"
    assert offer(confirmed, (0, ids)) == [False]
    assert spy.shown == ["the street sees a cat."]
    assert not confirmed.solved.any() and confirmed.words.tolist() == [NONE_YET] * 3
    confirmed.close()
    assert not confirmed.solved.any() and confirmed.found_by == [None] * 3
    assert confirmed.texts[0] == "the street sees a cat." and confirmed.outputs[0].startswith("always")
    assert confirmed.victim.queries == [1, 0, 0], "and the text is not decoded again to be reported"


def test_a_success_of_vectors_is_claimed_and_no_sentence_is_kept(setting):
    confirmed, spy = setting("always something else".__add__)
    tokenizer = confirmed.sources.vocabulary.victim.tokenizer
    greedy = tokenizer(["the river", "the tree", "the river"], padding=True, return_tensors="pt")["input_ids"]
    assert confirmed.claim(torch.tensor([2, 0, 1]), greedy).tolist() == [0, len("the tree"), 0]
    assert confirmed.claimed == [False, True, True]
    confirmed.close()
    assert spy.shown == [] and confirmed.texts == TEXTS and not confirmed.solved.any()


def test_the_only_offer_is_reported_even_as_a_failure_and_nothing_is_claimed_of_it(setting):
    confirmed, _ = setting(lambda text: "river" if "woman" in text else "nein")
    ids = torch.stack([changed(confirmed, 0, dog="man"), changed(confirmed, 1, man="woman"), confirmed.sources.ids[2]])
    confirmed.offer_only(torch.arange(3), ids, by="test")
    confirmed.close()
    texts = ["the man sees a cat.", "a woman waits near the river", TEXTS[2]]
    assert (confirmed.texts, confirmed.outputs) == (texts, ["nein", "river", "clean"])
    assert confirmed.solved.tolist() == [False, True, False] and confirmed.claimed == [False] * 3
    assert confirmed.found_by == [None, "test", None] and confirmed.victim.queries == [1, 1, 0]


def test_a_success_is_what_the_reported_output_says(setting):
    confirmed, spy = setting(lambda text: "ein river" if "woman" in text else "nein")
    ids = changed(confirmed, 1, man="woman")
    assert offer(confirmed, (0, changed(confirmed, 0, dog="cat")), (1, ids)) == [False, True]
    assert spy.shown == ["the cat sees a cat.", "a woman waits near the river"]
    assert confirmed.solved.tolist() == [False, True, False]
    assert confirmed.words.tolist() == [NONE_YET, 1, NONE_YET] and torch.equal(confirmed.ids[1], ids)
    assert confirmed.texts == [TEXTS[0], "a woman waits near the river", TEXTS[2]]
    assert confirmed.outputs == ["clean", "ein river", "clean"] and confirmed.found_by == [None, "test", None]
    assert confirmed.victim.queries == [1, 1, 0]


def test_fewer_words_replace_more_and_the_rest_costs_nothing(setting):
    confirmed, spy = setting(lambda text: f"river {text}")
    three = changed(confirmed, 0, dog="man", sees="waits", cat="child")
    two = changed(confirmed, 0, dog="man", sees="waits")
    other_two = changed(confirmed, 0, dog="woman", sees="waits")
    one = changed(confirmed, 0, dog="man")
    assert offer(confirmed, (0, three)) == [True] and int(confirmed.words[0]) == 3
    assert offer(confirmed, (0, two)) == [True] and int(confirmed.words[0]) == 2
    assert offer(confirmed, (0, three), (0, other_two)) == [False, False]
    assert len(spy.shown) == 2, "neither can improve"
    assert confirmed.texts[0] == "the man waits a cat."
    # Both of one call, the worse first and last: the best is kept.
    assert offer(confirmed, (0, one), (0, two)) == [True, False]
    assert confirmed.texts[0] == "the man sees a cat." and confirmed.outputs[0] == "river the man sees a cat."
    # By the searcher's own measure, more words may be better.
    assert offer(confirmed, (0, three), better=True) == [True]
    assert int(confirmed.words[0]) == 3 and torch.equal(confirmed.ids[0], three)
    assert confirmed.victim.queries == [3, 0, 0] == [len(spy.shown), 0, 0]


def test_no_text_is_decoded_twice(setting):
    confirmed, spy = setting(lambda text: "nein")
    ids, same = changed(confirmed, 0, dog="man"), changed(confirmed, 2)
    offer(confirmed, (0, ids), (0, ids.clone()))
    offer(confirmed, (0, ids))
    offer(confirmed, (2, same))  # the original, whose output is known
    assert spy.shown == ["the man sees a cat."]
    confirmed.judge(torch.tensor([0]), ids[None], torch.ones(1, 1, dtype=torch.long), torch.zeros(1))
    confirmed.close()
    assert spy.shown == ["the man sees a cat."] and confirmed.victim.queries == [1, 0, 0]
    assert confirmed.texts[0] == "the man sees a cat." and confirmed.outputs[0] == "nein"


def test_a_text_that_makes_other_pieces_is_turned_down_unseen(setting):
    confirmed, spy = setting(lambda text: "river")
    ids = changed(confirmed, 0, dog="dogs")  # two pieces, if tokenized afresh
    assert offer(confirmed, (0, ids)) == [False]
    confirmed.judge(torch.tensor([0]), ids[None], torch.ones(1, 1, dtype=torch.long), torch.zeros(1))
    confirmed.close()
    assert spy.shown == [] and confirmed.texts[0] == TEXTS[0] and not confirmed.solved.any()


def test_closing_reports_the_most_promising_failure_and_a_late_success(setting):
    confirmed, spy = setting(lambda text: "river" if "street" in text else "nein")
    rows = torch.tensor([0, 0, 0, 1])
    tried = [changed(confirmed, 0, dog=word) for word in ("man", "woman", "child")]
    tried.append(changed(confirmed, 1, man="street"))
    piece = confirmed.sources.vocabulary.victim.tokenizer
    greedy = piece(["a dog", "a", "a", "a dog"], padding=True, return_tensors="pt")["input_ids"]
    # Fewest violations first, then the least loss: the third sentence.
    loss = torch.tensor([0.0, 2.0, 1.0, 5.0])
    assert confirmed.judge(rows, torch.stack(tried), greedy, loss).tolist() == [5, 1, 1, 5]
    confirmed.close()
    assert confirmed.texts == ["the child sees a cat.", "a street waits near the river", TEXTS[2]]
    assert confirmed.outputs == ["nein", "river", "clean"]
    assert confirmed.solved.tolist() == [False, True, False] and int(confirmed.words[1]) == 1
    assert confirmed.found_by == [None, "closing", None] and confirmed.claimed == [False] * 3
    assert confirmed.victim.queries == [1, 1, 0] and len(spy.shown) == 2


def test_a_confirmed_success_is_not_forgotten_for_a_promise(setting):
    confirmed, spy = setting(lambda text: "river")
    best = changed(confirmed, 0, dog="man")
    offer(confirmed, (0, best))
    other = changed(confirmed, 0, cat="man")
    confirmed.judge(torch.tensor([0]), other[None], torch.ones(1, 1, dtype=torch.long), torch.tensor([-9.0]))
    confirmed.close()
    assert torch.equal(confirmed.ids[0], best) and len(spy.shown) == 1


def test_offering_nothing_asks_nothing(setting):
    confirmed, spy = setting(lambda text: "river")
    none = torch.zeros(0, dtype=torch.long)
    assert confirmed.offer(none, confirmed.sources.ids[none], by="test").shape == (0,)
    confirmed.close()
    assert spy.shown == [] and confirmed.victim.queries == [0, 0, 0] and confirmed.texts == TEXTS


def test_every_pass_counts_once_for_each_of_its_rows():
    """`CountedVictim` against a spy on the model itself: rows that the decoder or the encoder is shown."""
    victim = tiny.victim(tiny.unigram())
    counted = CountedVictim(victim, 4)
    ids, mask = victim.encode(["the dog", "a cat sees", "the dog", "a"])
    rows = torch.tensor([2, 0, 2])
    seen = []
    hook = victim.model.get_encoder().register_forward_hook(lambda *args: seen.append(len(args[2][0])))
    outputs = counted.greedy(ids[rows], mask[rows], rows).outputs
    assert counted.queries == [1, 0, 2, 0] and sum(seen) == 3
    counted.logits(victim.embed(ids[rows]), mask[rows], outputs, rows)
    assert counted.queries == [2, 0, 4, 0] and sum(seen) == 6
    counted.generate(["a", "the dog"], torch.tensor([3, 3]))
    hook.remove()
    assert counted.queries == [2, 0, 4, 2] and sum(seen) == 8
    assert counted.decode(outputs) == victim.decode(outputs) and sum(counted.queries) == 8


def test_a_search_that_sees_reported_outputs_only_is_judged_by_them(setting):
    """Successes are kept, failures remembered, no text is decoded twice, and what doesn't survive isn't decoded."""
    confirmed, spy = setting(lambda text: "river" if "tree" in text else text[:3])
    piece = confirmed.sources.vocabulary.victim.tokenizer.convert_tokens_to_ids
    tries = [changed(confirmed, 0, dog="tree"), changed(confirmed, 0, dog="house"), changed(confirmed, 1, man="house")]
    rows, ids = torch.tensor([0, 0, 1]), torch.stack(tries)
    found = confirmed.show(rows, ids, by="texts")
    assert found.tolist() == [0, 3, 3]
    assert confirmed.words.tolist() == [1, NONE_YET, NONE_YET]
    assert (confirmed.found_by[0], confirmed.claimed) == ("texts", [True, False, False])
    assert torch.equal(confirmed.ids[1], tries[2])
    shown = list(spy.shown)
    assert len(shown) == len(set(shown)) == 3
    assert confirmed.show(rows, ids, by="texts").tolist() == [0, 3, 3]
    assert confirmed.show(rows[:0], ids[:0], by="texts").tolist() == []
    unknown = ids.clone()
    unknown[:, int(confirmed.sources.changeable[0].nonzero()[0])] = piece("<unk>")
    assert confirmed.show(rows, unknown, by="texts").tolist() == [NONE_YET] * 3
    confirmed.close()
    assert spy.shown == shown


def test_the_fewest_words_and_then_the_least_loss_are_offered_first(setting):
    confirmed, spy = setting(lambda text: "no")
    one = [changed(confirmed, 0, dog=word) for word in ("tree", "house", "street")]
    two = changed(confirmed, 0, dog="tree", cat="house")
    other = changed(confirmed, 2, child="man")
    rows, ids = torch.tensor([0, 2, 0, 0, 0]), torch.stack([two, other, one[0], one[1], one[2]])
    confirmed.offer_best(rows, ids, torch.tensor([0.0, 9.0, 3.0, 1.0, 2.0]), most=2, by="test")
    assert sorted(spy.shown) == sorted(
        confirmed.sources.text(torch.tensor([0, 0, 2]), torch.stack([one[1], one[2], other]))
    )
    confirmed.offer_best(rows, ids, torch.tensor([0.0, 9.0, 3.0, 1.0, 2.0]), most=9, by="test")
    assert len(spy.shown) == 5
    confirmed.offer_best(rows[:0], ids[:0], torch.zeros(0), most=2, by="test")
    assert len(spy.shown) == 5
