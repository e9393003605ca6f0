"""The pool of keywords, the draw from it, and the pieces that a keyword is made of."""

import json
import random
from collections import Counter

import pytest
import tiny
from scipy.stats import chisquare

from textadv import keywords as module
from textadv.configs import BadInput, WordsConfig
from textadv.keywords import draw_keywords, keyword_pool, output_pieces, stack_pieces, with_keywords
from textadv.types import Example

COMMON = [f"c{i:02}" for i in range(99)]  # with one word more, the 100 commonest
COUNTS = dict.fromkeys(COMMON, 50) | {
    "waits": 41,  # the hundredth: as common as the next, and first in the alphabet
    "woman": 41,
    "dogs": 30,  # two pieces
    "Straße": 20,
    "grün": 19,
    "street": 5,
    "river": 4,
    "dog": 30,  # three letters
    "red-dogs": 30,
    "3.5": 30,
    "old3": 30,
    "Zebra": 30,  # no piece has a Z
}


def corpus(lines):
    words = [word for word, count in COUNTS.items() for _ in range(count)]
    random.Random(0).shuffle(words)
    full = [" ".join(words[i : i + 10]) + " ." for i in range(0, len(words), 10)]
    return full + [""] * (lines - len(full))


@pytest.fixture(scope="module")
def victim():
    return tiny.victim(tiny.unigram())


@pytest.mark.parametrize(
    ("lines", "pool"),
    [(5000, {"woman", "dogs", "Straße"}), (4999, {"woman", "dogs", "Straße", "grün", "street"})],
)
def test_the_pool_is_made_by_the_rules(victim, lines, pool, monkeypatch):
    made = keyword_pool(corpus(lines), victim)
    # The full stop is the commonest word, so that "waits" is the 101st.
    assert made == sorted(pool | {"waits"})
    monkeypatch.setattr(module, "COMMONEST", 101)
    assert keyword_pool(corpus(lines), victim) == sorted(pool)
    assert keyword_pool(reversed(corpus(lines)), victim) == sorted(pool), "whatever the order of lines"


def test_an_empty_pool_is_one_clear_line(victim):
    with pytest.raises(BadInput, match=r"no word of the keyword corpus \(3 lines\) can be drawn"):
        keyword_pool(["woman"] * 3, victim)


# The draw -----------------------------------------------------------------------------------------------

POOL = ["Hund", "Frau", "Stadt", "grün", "sitzt", "Straße"]


def test_a_draw_depends_on_seed_and_example_alone():
    def draws():
        return [draw_keywords(POOL, "", 3, seed=seed, example_id=i) for seed in (0, 1) for i in range(20)]

    random.seed(1)
    first = draws()
    state = random.getstate()
    assert draws() == first and random.getstate() == state
    assert len({tuple(words) for words in first}) > 20
    alone = draw_keywords(POOL, "", 3, seed=1, example_id=7)
    assert alone == first[27]
    # Seed 1 and example 11 are not seed 11 and example 1.
    one = [draw_keywords(POOL, "", 3, seed=1, example_id=10 + i) for i in range(10)]
    other = [draw_keywords(POOL, "", 3, seed=11, example_id=i) for i in range(10)]
    assert sum(a != b for a, b in zip(one, other, strict=True)) > 5


@pytest.mark.parametrize("over", ["examples", "seeds"])
@pytest.mark.parametrize("count", [1, 3])
def test_draws_are_uniform(over, count):
    seen, places = Counter(), Counter()
    for i in range(3000):
        names = {"seed": 5, "example_id": i} if over == "examples" else {"seed": i, "example_id": 5}
        words = draw_keywords(POOL, "", count, **names)
        assert len(set(words)) == count
        seen.update(words)
        places[words[0]] += 1
    assert chisquare([places[word] for word in POOL]).pvalue > 0.01
    # Words of one draw differ, which only makes the counts more even than independent ones.
    assert chisquare([seen[word] for word in POOL]).pvalue > 0.01


def test_words_of_the_clean_output_are_never_drawn():
    clean = "Der Hund, die Frau: Stadthaus."
    drawn = Counter(word for i in range(600) for word in draw_keywords(POOL, clean, 2, seed=0, example_id=i))
    assert set(drawn) == {"Stadt", "grün", "sitzt", "Straße"}
    assert chisquare(list(drawn.values())).pvalue > 0.01
    with pytest.raises(BadInput, match="5 keywords can't be drawn from a pool of 4"):
        draw_keywords(POOL, clean, 5, seed=0, example_id=0)


# The user's own -----------------------------------------------------------------------------------------

EXAMPLES = [Example(0, "the dog"), Example(4, "the cat")]


def written(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return WordsConfig(keywords_file=str(path))


def test_the_users_keywords_reach_their_examples(victim, tmp_path):
    assert with_keywords(EXAMPLES, WordsConfig(), victim) == EXAMPLES
    same = with_keywords(EXAMPLES, WordsConfig(keywords=" Hund  sitzt "), victim)
    assert [example.keywords for example in same] == [("Hund", "sitzt")] * 2
    rows = [
        {"example_id": 4, "keywords": ["Frau"]},
        {"example_id": 0, "keywords": ["Hund", "dogs"]},
        {"example_id": 9, "keywords": ["of no example"]},
    ]
    own = with_keywords(EXAMPLES, written(tmp_path / "k.jsonl", *rows), victim)
    assert [(e.example_id, e.source, e.keywords) for e in own] == [
        (0, "the dog", ("Hund", "dogs")),
        (4, "the cat", ("Frau",)),
    ]


GOOD = {"example_id": 0, "keywords": ["Hund"]}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([GOOD, "{"], "line 2 of .*k.jsonl is not like"),
        ([GOOD, {"example_id": 4}], "line 2"),
        ([{"example_id": "four", "keywords": ["Hund"]}], "line 1"),
        ([GOOD, {"example_id": 4, "keywords": "Hund"}], "line 2"),  # not H, u, n, d
        ([GOOD, {"example_id": 4, "keywords": None}], "line 2"),
        ([["example_id", 0]], "line 1"),
        ([GOOD], "no keywords for example 4"),
        ([GOOD, {"example_id": 4, "keywords": []}], "no keywords for example 4"),
        ([GOOD, {"example_id": 4, "keywords": ["Zebra"]}], "the victim can't say Zebra"),
    ],
)
def test_a_file_of_keywords_that_is_wrong_is_one_clear_line(victim, tmp_path, rows, said):
    with pytest.raises(BadInput, match=said) as refusal:
        with_keywords(EXAMPLES, written(tmp_path / "k.jsonl", *rows), victim)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (WordsConfig(keywords="Hund", keywords_file="k.jsonl"), "both given"),
        (WordsConfig(keywords=" "), "no keywords for example 0"),
        (WordsConfig(keywords="Hund Zebra Qualle"), "can't say Qualle, Zebra"),
        (WordsConfig(keywords_file="/no/such/file.jsonl"), "can't be read"),
    ],
)
def test_keywords_that_are_wrong_are_one_clear_line(victim, config, said):
    with pytest.raises(BadInput, match=said):
        with_keywords(EXAMPLES, config, victim)


# Their pieces -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", tiny.TOKENIZERS)
def test_the_pieces_of_a_word_are_those_inside_a_sentence(kind, tmp_path):
    made = tiny.victim(tiny.TOKENIZERS[kind](tmp_path), "M2M100" if kind == "M2M100" else "Marian")
    words = ["dog", "street", "dogs", "streeting", "Hund", "Zebra☃"]
    found = dict(zip(words, output_pieces(words, made), strict=True))
    lower = kind == "WordPiece"  # it can't write a capital
    assert found["Hund"] is None if lower else len(found["Hund"]) == 1
    if kind not in ("byte-level BPE", "unigram with bytes"):
        assert found["Zebra☃"] is None
    for word, ids in found.items():
        if ids is None:
            continue
        sentence = made.tokenizer(text_target=f"the {word} the")["input_ids"]
        assert any(sentence[i : i + len(ids)] == ids for i in range(len(sentence)))
        assert made.tokenizer.decode(ids).strip() == word
    assert found["dog"] is not None
    if kind != "word level":
        assert len(found["dogs"]) > 1


def test_a_whole_word_vocabulary_without_the_word_a_can_say_its_words(monkeypatch):
    monkeypatch.setattr(tiny, "WORDS", tiny.WORDS[1:])
    victim = tiny.victim(tiny.word_level())
    hund = victim.tokenizer.convert_tokens_to_ids("Hund")
    assert output_pieces(["a", "Hund", "Zebra"], victim) == [None, [hund], None]


def test_stacked_pieces_are_padded_with_minus_one(victim):
    piece = victim.tokenizer.convert_tokens_to_ids
    table = stack_pieces([["Hund"], ["dogs", "Frau"]], victim)
    assert table.tolist() == [
        [[piece("▁Hund"), -1], [-1, -1]],
        [[piece("▁dog"), piece("s")], [piece("▁Frau"), -1]],
    ]
    assert stack_pieces([["Hund"], ["Frau"]], victim).shape == (2, 1, 1)
    with pytest.raises(BadInput, match="can't say Zebra"):
        stack_pieces([["Hund", "Zebra"]], victim)
