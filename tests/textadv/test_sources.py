"""Changed text comes back as the pieces that it was made from, and the rest of it to the letter."""

import pytest
import tiny
import torch

from textadv.sources import Sources
from textadv.vocabulary import FIRST, FROZEN, INSIDE, Vocabulary

TEXTS = [*tiny.sentences(60, seed=3), "a dog… sees “the” cat?» near (it)"]
PREFIX = "see this: "


@pytest.fixture(scope="module", params=[*tiny.TOKENIZERS, "unigram, prefix", "byte-level BPE, prefix"])
def vocabulary(request, tmp_path_factory):
    kind, *prefix = request.param.split(", ")
    tokenizer = tiny.TOKENIZERS[kind](tmp_path_factory.mktemp("tokenizer"))
    family = "M2M100" if kind == "M2M100" else "Marian"
    return Vocabulary(tiny.victim(tokenizer, family, source_prefix=PREFIX if prefix else ""))


def randomly_changed(sources, rows, count, seed):
    """Pieces (N, T) of rows (N,) with up to `count` random replacements each, and where they are (N, T)."""
    generator = torch.Generator().manual_seed(seed)
    ids, where = sources.ids[rows].clone(), torch.zeros_like(sources.changeable[rows])
    for i, row in enumerate(rows.tolist()):
        free = sources.changeable[row].nonzero().squeeze(1)
        for position in free[torch.randperm(len(free), generator=generator)[:count]].tolist():
            allowed = sources.vocabulary.allowed[sources.places[row, position]].nonzero().squeeze(1)
            allowed = allowed[allowed != ids[i, position]]
            ids[i, position] = allowed[torch.randint(len(allowed), (), generator=generator)]
            where[i, position] = True
    return ids, where


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_random_replacements_survive_and_leave_the_rest_to_the_letter(vocabulary, count):
    sources = Sources(vocabulary, TEXTS)
    victim, rows = vocabulary.victim, torch.arange(len(TEXTS)).repeat(2)
    ids, where = randomly_changed(sources, rows, count, seed=count)
    assert torch.equal(sources.changed(rows, ids), where.sum(1))
    assert where.sum() > len(rows) * min(count, 2) / 2, "most sentences can be attacked"
    texts = sources.text(rows, ids)
    again, mask = victim.encode(texts)
    for i, row in enumerate(rows.tolist()):
        assert again[i, : mask[i].sum()].tolist() == ids[i, : sources.mask[row].sum()].tolist()
        old, new = TEXTS[row].split(), texts[i].split()
        assert len(new) == len(old)
        changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        assert len(changed) == where[i].sum()
        for a, b in changed:  # the marks behind a word stay
            assert a[len(a.rstrip(".,!?…»”")) :] == b[len(b.rstrip(".,!?…»”")) :]
    assert sources.survives(rows, ids, texts) == [True] * len(rows)


def test_any_word_can_be_written_in_the_place_of_one(vocabulary):
    """As `text` does it for a piece, but for text that may be no piece."""
    sources = Sources(vocabulary, TEXTS)
    row, position = sources.changeable.nonzero().unbind(1)
    for old, text in zip((TEXTS[i] for i in row.tolist()), sources.text_with("[UNK]", row, position), strict=True):
        [changed] = [(a, b) for a, b in zip(old.split(), text.split(), strict=True) if a != b]
        core = changed[0].rstrip(".,!?…»”")
        assert core.isalpha() and changed[1] == "[UNK]" + changed[0][len(core) :]
    assert len({(i, text) for i, text in zip(row.tolist(), sources.text_with("#", row, position), strict=True)}) == len(
        row
    )
    assert sources.text_with("#", row[:0], position[:0]) == []


def test_every_plain_word_may_change_and_nothing_else(vocabulary):
    sources = Sources(vocabulary, ["the (dog) sees, cats ox☃ 3.5 3 a street…"])
    kinds = sources.places[0]
    free = vocabulary.victim.tokenizer.convert_ids_to_tokens(sources.ids[0, kinds != FROZEN].tolist())
    assert [piece.lstrip("▁Ġ") for piece in free] == ["the", "sees", "a", "street"]
    first = kinds[kinds != FROZEN][0]
    assert first == FIRST and (kinds[kinds != FROZEN][1:] == INSIDE).all()
    specials = torch.isin(sources.ids[0], torch.tensor(sorted(vocabulary.victim.special_ids)))
    assert (kinds[specials] == FROZEN).all() and (kinds[sources.mask[0] == 0] == FROZEN).all()


def test_text_without_changes_is_kept_but_for_its_spaces(vocabulary):
    texts = [" the  dog\tsees ☃, (a ox☃) Müller's “3.5” …", "", "☃", "a", *TEXTS]
    sources = Sources(vocabulary, texts)
    assert sources.text(torch.arange(len(texts)), sources.ids) == [" ".join(text.split()) for text in texts]


def test_rows_are_rows_of_the_batch(vocabulary):
    """Changed versions of a few sentences, in any order and more than one of each."""
    sources = Sources(vocabulary, TEXTS)
    rows = torch.tensor([7, 2, 7, 30])
    ids, _ = randomly_changed(sources, rows, 2, seed=0)
    alone = [Sources(vocabulary, [TEXTS[row]]) for row in rows.tolist()]
    for i, one in enumerate(alone):
        width = one.ids.shape[1]
        assert torch.equal(one.ids[0], sources.ids[rows[i], :width])
        assert torch.equal(one.places[0], sources.places[rows[i], :width])
        assert one.text(torch.tensor([0]), ids[i : i + 1, :width]) == [sources.text(rows, ids)[i]]


def test_texts_that_make_other_pieces_do_not_survive(vocabulary):
    sources = Sources(vocabulary, ["the dog", "a cat sees"])
    rows = torch.tensor([0, 1, 1])
    texts = ["the dog", "a cat sees the", "a dog sees"]
    assert sources.survives(rows, sources.ids[rows], texts) == [True, False, False]


def test_capitals_stay_and_new_words_come_as_the_tokenizer_writes_them():
    vocabulary = Vocabulary(tiny.victim(tiny.wordpiece()))
    sources = Sources(vocabulary, ["Die FRAU sees Hund."])
    ids = sources.ids.clone()
    ids[0, sources.changeable[0].nonzero()[0]] = vocabulary.victim.tokenizer.convert_tokens_to_ids("stadt")
    assert sources.text(torch.tensor([0]), ids) == ["Die stadt sees Hund."]


def test_a_slow_tokenizer_that_cuts_elsewhere_freezes_the_sentence(tmp_path):
    vocabulary = Vocabulary(tiny.victim(tiny.marian_tokenizer(tmp_path)))
    sources = Sources(vocabulary, ["the dog\x1csees", "the dog sees"])  # a space for Python alone
    assert not sources.changeable[0].any() and sources.changeable[1].any()


def test_any_piece_mode_changes_inner_pieces_and_tells_which_survive():
    vocabulary = Vocabulary(tiny.victim(tiny.unigram(), source_prefix=PREFIX), whole_words=False)
    sources = Sources(vocabulary, ["dogs waiting", *TEXTS], whole_words=False)
    rows = torch.arange(len(sources.texts))
    pieces = vocabulary.victim.tokenizer.convert_ids_to_tokens(sources.ids[0].tolist())
    assert {pieces[p] for p in sources.changeable[0].nonzero().squeeze(1)} >= {"▁dog", "s", "ing"}
    ids, _ = randomly_changed(sources, rows, 2, seed=1)
    texts = sources.text(rows, ids)
    again, mask = vocabulary.victim.encode(texts)
    truth = [again[i, : mask[i].sum()].tolist() == ids[i, : sources.mask[i].sum()].tolist() for i in rows.tolist()]
    assert sources.survives(rows, ids, texts) == truth
    assert 0 < sum(truth) < len(truth)
