"""Which pieces may be written, for a tokenizer of every kind, and the nearest of them by brute force."""

import pytest
import tiny
import torch

from textadv import vocabulary as module
from textadv.configs import BadInput
from textadv.vocabulary import CONTINUATION, FIRST, INSIDE, Vocabulary

CORPUS = [f"{word} {word}, ({word})" for word in tiny.WORDS]
BYTES = {"ü": "Ã¼", "ß": "ÃŁ"}  # how byte-level BPE writes them


@pytest.fixture(scope="module", params=tiny.TOKENIZERS)
def victim(request, tmp_path_factory):
    tokenizer = tiny.TOKENIZERS[request.param](tmp_path_factory.mktemp("tokenizer"))
    made = tiny.victim(tokenizer, "M2M100" if request.param == "M2M100" else "Marian", spare=7)
    made.kind = request.param
    return made


def pieces(vocabulary, place):
    tokenizer = vocabulary.victim.tokenizer
    return set(tokenizer.convert_ids_to_tokens(vocabulary.allowed[place].nonzero().squeeze(1).tolist()))


def expected(kind, place):
    """The pieces of our words, written as the tokenizer writes them."""
    if kind == "WordPiece":
        return {word.lower() for word in tiny.WORDS}
    if kind == "word level":
        return set(tiny.WORDS)
    if kind == "byte-level BPE":
        written = {"".join(BYTES.get(letter, letter) for letter in word) for word in tiny.WORDS}
        return {"Ġ" * (place == INSIDE) + word for word in written}
    return {"▁" + word for word in tiny.WORDS}


def test_exactly_the_words_of_the_corpus_are_allowed(victim):
    vocabulary = Vocabulary(victim, corpus=CORPUS)
    for place in (FIRST, INSIDE):
        missing = expected(victim.kind, place) ^ pieces(vocabulary, place)
        # A trained tokenizer may lack a piece for a word; nothing else may be missing, and nothing too much.
        assert missing <= expected(victim.kind, place) - set(victim.tokenizer.get_vocab())
    assert len(pieces(vocabulary, INSIDE)) > 20
    assert not vocabulary.allowed[CONTINUATION].any()


@pytest.mark.parametrize("whole_words", [True, False])
def test_nothing_but_text_is_allowed_without_a_corpus(victim, whole_words):
    vocabulary = Vocabulary(victim, whole_words=whole_words)
    tokenizer, allowed = victim.tokenizer, vocabulary.allowed.any(0)
    assert allowed.shape == (victim.model.config.vocab_size,)
    assert not allowed[max(tokenizer.get_vocab().values()) + 1 :].any(), "unused rows"
    assert not allowed[sorted(victim.special_ids)].any() and not allowed[tokenizer.unk_token_id]
    for i in allowed.nonzero().squeeze(1).tolist():
        piece = tokenizer.convert_ids_to_tokens(i)
        assert not piece.startswith(("<", ">>", "__", "[")), "sentinels, bytes, tags, language codes"
        assert vocabulary.surface[i].isalpha()
    assert pieces(Vocabulary(victim, corpus=CORPUS), INSIDE) <= pieces(vocabulary, INSIDE)
    inner = pieces(vocabulary, CONTINUATION)
    if whole_words:
        assert not inner
    elif victim.kind != "word level":
        assert inner and not inner & pieces(vocabulary, INSIDE)


def test_pieces_that_never_come_back_are_left_out():
    vocabulary = Vocabulary(tiny.victim(tiny.unigram()))
    found = pieces(vocabulary, INSIDE)
    assert "▁do" in found, "a beginning that is a word of letters; only a corpus tells that it is none"
    assert not found & {"▁dogs", "▁old▁man", "▁3", "▁", ">>deu<<", "ing", "town"}


def test_min_count_counts_words_not_pieces():
    victim = tiny.victim(tiny.unigram())
    corpus = ["the cat.", "the (cat) dogs dogs dogs", "dog river man-child", "Man man", "man, street"]
    assert pieces(Vocabulary(victim, corpus=corpus), INSIDE) == {"▁the", "▁cat", "▁man"}
    assert pieces(Vocabulary(victim, corpus=corpus, min_count=1), INSIDE) == {
        "▁the", "▁cat", "▁dog", "▁river", "▁man", "▁street",
    }  # fmt: skip
    with pytest.raises(BadInput, match="no piece of the vocabulary may be used"):
        Vocabulary(victim, corpus=corpus, min_count=9)


def test_inner_pieces_are_counted_as_pieces():
    victim = tiny.victim(tiny.unigram())
    vocabulary = Vocabulary(victim, whole_words=False, corpus=["dogs dogs", "dog dog waiting"])
    assert pieces(vocabulary, CONTINUATION) == {"s"}
    assert pieces(vocabulary, INSIDE) == {"▁dog"}


def test_a_tokenizer_without_capitals_counts_without_them():
    vocabulary = Vocabulary(tiny.victim(tiny.wordpiece()), corpus=["Hund HUND frau"])
    assert pieces(vocabulary, INSIDE) == {"hund"}


def test_behind_a_prefix_the_first_word_is_like_any_other():
    victim = tiny.victim(tiny.byte_bpe(), source_prefix="see: ")
    assert torch.equal(*Vocabulary(victim).allowed[[FIRST, INSIDE]])


def test_a_tokenizer_without_words_is_refused():
    tokenizer = tiny.byte_bpe()
    tokenizer.backend_tokenizer.model.dropout = 1.0  # no merge: every piece is a byte
    with pytest.raises(BadInput, match="no whole-word pieces"):
        Vocabulary(tiny.victim(tokenizer))


# The nearest piece --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["Marian", "BART", "T5"])
def vocabulary(request):
    return Vocabulary(tiny.victim(tiny.byte_bpe(), request.param), whole_words=False)


def queries(vocabulary, count=300):
    """Points near pieces and far from all, and places."""
    generator = torch.Generator().manual_seed(5)
    at = torch.randint(len(vocabulary.ids), (count,), generator=generator)
    noise = torch.randn(count, vocabulary.points.shape[1], generator=generator)
    far = torch.rand(count, 1, generator=generator) * 3 * vocabulary.unit
    return vocabulary.points[at] + noise * far, torch.randint(3, (count,), generator=generator)


def brute_force_distances(vocabulary, points, places):
    """(N, V) over all rows of the table, what is not allowed infinitely far."""
    table = vocabulary.victim.embed(torch.arange(vocabulary.size)).double()
    return torch.cdist(points.double(), table).masked_fill(~vocabulary.allowed[places], torch.inf)


def test_nearest_is_that_of_brute_force_however_it_is_cut(vocabulary, monkeypatch):
    points, places = queries(vocabulary)
    truth = brute_force_distances(vocabulary, points, places).min(1)
    ids, distances = vocabulary.nearest(points, places)
    assert torch.equal(ids, truth.indices)
    assert vocabulary.allowed[places, ids].all() and set(places.tolist()) == {0, 1, 2}
    torch.testing.assert_close(distances.double(), truth.values.square(), rtol=1e-4, atol=1e-4)
    unit = vocabulary.unit
    for limit in (1, 7 * 4 * len(vocabulary.ids)):  # one row at a time; seven, and a shorter last part
        monkeypatch.setattr(module, "CHUNK_BYTES", limit)
        vocabulary.__dict__.pop("unit")
        assert torch.equal(vocabulary.nearest(points, places)[0], ids)
        assert vocabulary.unit == pytest.approx(unit, rel=1e-5)


def test_unit_is_the_median_distance_to_the_nearest_neighbour(vocabulary):
    points = vocabulary.victim.embed(vocabulary.allowed.any(0).nonzero().squeeze(1)).double()
    distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
    assert vocabulary.unit == pytest.approx(float(distances.min(1).values.median()), rel=1e-4)


def test_lowest_is_that_of_brute_force(vocabulary, monkeypatch):
    directions, places = queries(vocabulary, 50)
    own = vocabulary.nearest(directions, places)[0]
    slopes = directions.double() @ vocabulary.victim.embed(torch.arange(vocabulary.size)).double().T
    slopes = slopes.masked_fill(~vocabulary.allowed[places], torch.inf)
    truth = slopes.scatter(1, own[:, None], torch.inf).topk(5, dim=1, largest=False)
    for limit in (module.CHUNK_BYTES, 7 * 4 * len(vocabulary.ids)):
        monkeypatch.setattr(module, "CHUNK_BYTES", limit)
        ids, values = vocabulary.lowest(directions, places, own, 5)
        assert torch.equal(ids, truth.indices)
        torch.testing.assert_close(values.double(), truth.values, rtol=1e-4, atol=1e-4)


def test_fingerprint_is_of_what_is_allowed():
    victim = tiny.victim(tiny.unigram())
    assert Vocabulary(victim).fingerprint() == Vocabulary(victim).fingerprint()
    assert Vocabulary(victim).fingerprint() != Vocabulary(victim, corpus=CORPUS[:9]).fingerprint()
