"""What limits are, where they are held, and that loose ones change nothing."""

import math
import re
from dataclasses import asdict, replace

import pytest
import tiny
import torch

from textadv.attack import clean_batch, non_overlapping_goal
from textadv.baselines.baseline import baseline
from textadv.configs import BadInput, BaselineConfig, LimitsConfig, Seq2SickConfig, VictimConfig
from textadv.confirmation import NONE_YET, Confirmation
from textadv.limits import NO_LIMITS, HeldLimits, Limits, MaxPerplexityRatio, MinSimilarity, named_words
from textadv.refinement import refine
from textadv.restoration import restore
from textadv.seq2sick import cut, gradient_search, seq2sick
from textadv.sources import Sources
from textadv.types import CountedVictim, Example
from textadv.victim import Victim
from textadv.vocabulary import FROZEN, Vocabulary

TEXTS = ["the dog sees a cat.", "The (man) waits, near THE river", "cat", *tiny.sentences(30, seed=5)]
STAY = frozenset({"the", "cat", "river", "town"})


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


# What the user asks for ---------------------------------------------------------------------------------


def test_words_are_named_in_any_case_and_with_punctuation(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("not,\nNever\n\n  „Straße“ don't\n", encoding="utf-8")
    wanted = {"not", "never", "strasse", "don't"}
    assert named_words(str(path)) == named_words("NOT never! (straße) Don't") == wanted


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (" ", "holds no word"),
        ("nothing.txt", "nothing.txt is neither a file nor one word"),
        ("not ...", r"\.\.\. is neither a file nor one word"),
        ("not " * 2_000 + "a/b", "a/b is neither"),
    ],
)
def test_what_is_no_word_is_refused(given, told):
    with pytest.raises(BadInput, match=told):
        named_words(given)


def test_a_list_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "list").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(BadInput, match="can't be read"):
        named_words(str(tmp_path / "list"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_words": 0}, "--max_words must be at least 1, not 0"),
        ({"max_words_share": 0.0}, "--max_words_share must be above 0 and at most 1, not 0.0"),
        ({"max_words_share": math.nan}, "--max_words_share must be above 0"),
        ({"min_similarity": 1.5}, "--min_similarity must be a cosine, from -1 to 1, not 1.5"),
        ({"max_perplexity_ratio": math.inf}, "--max_perplexity_ratio must be a positive number, not inf"),
        ({"max_perplexity_ratio": 2.0}, "name one by --perplexity_model"),
        ({"min_similarity": 0.5}, "pip install sentence-transformers"),
    ],
)
def test_mistakes(options, told, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(BadInput, match=re.escape(told)):
        Limits.from_config(LimitsConfig(**options))


def test_stop_words_are_added_to_the_words_that_are_named():
    found = Limits.from_config(LimitsConfig(protected_words="Hund the", protect_stop_words=True)).protected
    assert found > {"hund", "the", "not", "never", "he"} and "dog" not in found
    assert Limits.from_config(LimitsConfig(protected_words="Hund")).protected == {"hund"}
    assert Limits.from_config(LimitsConfig()) == NO_LIMITS and not NO_LIMITS
    assert not Limits(usual_words=5), "an attack's own budget is no limit of the run"


def test_the_fingerprint_tells_lists_and_models_apart():
    judge = tiny.language_model()
    found = [
        limits.fingerprint()
        for limits in (
            NO_LIMITS,
            Limits(max_words=3),
            Limits(frozenset({"a", "b"})),
            Limits(frozenset({"a", "c"})),
            Limits(on_text=(MaxPerplexityRatio(judge, 2.0), MinSimilarity(tiny.encoder(), 0.8))),
        )
    ]
    assert found[:2] == [{}, {}] and found[2] != found[3] and set(found[2]) == {"protected words"}
    assert set(found[4]) == {"perplexity model", "similarity model"}
    with torch.no_grad():
        judge.model.transformer.wte.weight[0, 0] += 1
    assert Limits(on_text=(MaxPerplexityRatio(judge, 2.0),)).fingerprint()["perplexity model"] not in found[4].values()


# Words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.2, 0.29, 1 / 3, 1.0])
def test_the_budget_is_the_most_that_the_share_allows(share):
    for count in (0, 1, 2, 3, 5, 10, 15, 100):
        most = max(k for k in range(count + 1) if k == 0 or k / count <= share)
        assert Limits(max_words_share=share).budget("dog " * count) == most
        assert Limits(max_words=2, max_words_share=share).budget("dog " * count) == min(2, most)
    assert Limits(max_words_share=0.5).budget("a dog.") == 1, "a punctuation mark is a word"
    assert Limits(max_words=7, usual_words=5).budget("dog") == 7 and Limits(usual_words=5).budget("dog") == 5
    assert NO_LIMITS.budget("dog") >= 10**6


@pytest.fixture(scope="module", params=["unigram", "byte-level BPE", "WordPiece", "word level", "Marian"])
def victim(request, tmp_path_factory):
    return tiny.victim(tiny.TOKENIZERS[request.param](tmp_path_factory.mktemp("tokenizer")))


@pytest.mark.parametrize("whole_words", [True, False])
def test_protected_words_stay_and_the_others_are_as_free_as_before(victim, whole_words):
    """By trying: everything that may change is changed, and the words of the texts are compared."""
    vocabulary = Vocabulary(victim, whole_words=whole_words)
    free = Sources(vocabulary, TEXTS, whole_words=whole_words)
    limited = Sources(vocabulary, TEXTS, whole_words=whole_words, limits=Limits(STAY))
    generator = torch.Generator().manual_seed(0)
    shut = 0
    for row in range(len(TEXTS)):
        for position in free.changeable[row].nonzero().squeeze(1).tolist():
            place = free.places[row, position]
            options = vocabulary.allowed[place].nonzero().squeeze(1)
            options = options[options != free.ids[row, position]]
            ids = free.ids[row : row + 1].clone()
            ids[0, position] = options[torch.randint(len(options), (), generator=generator)]
            [new] = free.text(torch.tensor([row]), ids)
            [same] = free.text(torch.tensor([row]), free.ids[row : row + 1])
            if not free.survives(torch.tensor([row]), ids, [new])[0] or len(words(same)) != len(words(new)):
                continue
            [(old, chunk)] = {
                (a.lower(), chunk.lower())
                for chunk, other in zip(same.split(), new.split(), strict=True)
                for a, b in zip(words(chunk), words(other), strict=True)
                if a != b
            }
            if limited.places[row, position] == FROZEN:
                shut += 1
                assert STAY & set(words(chunk))
            else:
                assert old not in STAY and limited.places[row, position] == place
    assert shut >= 5 and (limited.places[free.places == FROZEN] == FROZEN).all()


def test_no_budget_freezes_the_sentence():
    vocabulary = Vocabulary(tiny.victim(tiny.unigram()))
    sources = Sources(vocabulary, ["a dog", "the dog sees a man near a tree"], limits=Limits(max_words_share=0.2))
    assert sources.budget.tolist() == [0, 1]
    assert sources.changeable.any(1).tolist() == [False, True]


@pytest.mark.parametrize(
    ("limits", "adversarial", "held"),
    [
        (Limits(STAY), "the man sees a cat.", True),
        (Limits(STAY), "the dog sees a man.", False),
        (Limits(STAY), "The dog sees a cat.", False),  # in any case it is named, in its own it stays
        (Limits(max_words=1), "the dog waits a cat.", True),
        (Limits(max_words=1), "the dog waits a man.", False),
        (Limits(max_words_share=2 / 6), "the dog waits a man.", True),
        (Limits(max_words_share=0.3), "the dog waits a man.", False),
        (Limits(max_words=1), "the dog sees cat.", True),  # dropped: one edit
        (Limits(frozenset({"a"})), "the dog sees cat.", False),
        (Limits(usual_words=1), "a man sees the tree!", True),  # held by the search alone
    ],
)
def test_limits_on_words_are_read_off_texts_too(limits, adversarial, held):
    assert limits.keeps_words(TEXTS[0], adversarial) == held
    assert HeldLimits(limits).held([TEXTS[0]] * 2, [adversarial, TEXTS[0]]) == [held, True]


# Text ---------------------------------------------------------------------------------------------------


def test_perplexity_is_that_of_each_sentence_and_similarity_the_cosine():
    """At thresholds between the sentences' own figures, found one by one."""
    judge, encoder = tiny.language_model(), tiny.encoder()
    original, others = "the old man sees a dog.", tiny.sentences(12, seed=2, most=6)
    alone = [judge.likelihoods([text]).perplexity for text in [original, *others]]
    ratios = [value / alone[0] for value in alone[1:]]
    vectors = [[text.lower().count(chr(97 + i)) for i in range(26)] for text in [original, *others]]
    cosines = [
        sum(a * b for a, b in zip(vectors[0], other, strict=True)) / (math.hypot(*vectors[0]) * math.hypot(*other))
        for other in vectors[1:]
    ]
    for values, make, sign in ((ratios, MaxPerplexityRatio, 1), (cosines, MinSimilarity, -1)):
        ranked = sorted(values)
        for low, high in zip(ranked[::3], ranked[1::3], strict=False):
            middle = (low + high) / 2
            limit = make(judge if sign > 0 else encoder, middle)
            held = HeldLimits(Limits(on_text=(limit,))).held([original] * len(others), others)
            assert held == [sign * value <= sign * middle for value in values] and 0 < sum(held) < len(held)


def test_a_text_of_which_nothing_can_be_predicted_is_not_allowed():
    judge = tiny.language_model()
    judge.tokenizer.bos_token = None
    limits = Limits(on_text=(MaxPerplexityRatio(judge, 1e9),))
    assert HeldLimits(limits).held(["the dog", "the dog", "dog"], ["dog", "a man", "a man"]) == [False, True, False]


class Longer:
    """A limit that allows no text longer than its original, and lists what it was asked about."""

    name = "length"

    def __init__(self):
        self.asked = []

    def describe(self, texts):
        self.asked.append(sorted(texts))
        return [len(text) for text in texts]

    def allows(self, original, adversarial):
        return adversarial <= original


def test_a_model_sees_a_text_once_and_only_if_cheaper_limits_are_held():
    first, second = Longer(), Longer()
    held = HeldLimits(Limits(max_words=1, on_text=(first, second)))  # type: ignore[arg-type]
    originals, texts = ["a dog", "a dog", "a cat"], ["a man", "one man", "a river"]
    assert held.held(originals, texts) == [True, False, False]
    assert held.held(originals[::-1], texts[::-1]) == [False, False, True]
    assert first.asked == [["a cat", "a dog", "a man", "a river"]] and second.asked == [["a dog", "a man"]]
    assert held.held(["a dog"], ["a son"]) == [True] and first.asked[1:] == [["a son"]]
    assert held.held([], []) == []


# In a search --------------------------------------------------------------------------------------------


class Anything:
    """A goal that every output meets but the clean one."""

    margin, demands = 0.0, 1

    def violations(self, row, output):
        return int(output == "clean")


class Echo:
    """A victim that says its source."""

    def __init__(self, victim):
        self._victim, self.shown = victim, []

    def generate(self, texts):
        self.shown.extend(texts)
        return list(texts)

    def decode(self, outputs):
        return self._victim.decode(outputs)


def echoing(limits: Limits, texts=("the dog sees a cat.",)):
    """A Confirmation whose every offer meets the goal, and the spy."""
    victim = tiny.victim(tiny.unigram())
    spy = Echo(victim)
    sources = Sources(Vocabulary(victim), texts, limits=limits)
    counted = CountedVictim(spy, len(texts))  # type: ignore[arg-type]
    return Confirmation(counted, sources, Anything(), ["clean"] * len(texts), limits), spy  # type: ignore[arg-type]


def with_words(confirmed, **exchanged):
    """(1, T) pieces of the first sentence with words exchanged."""
    piece = confirmed.sources.vocabulary.victim.tokenizer.convert_tokens_to_ids
    ids = confirmed.sources.ids[:1].clone()
    for old, new in exchanged.items():
        ids[ids == piece(f"▁{old}")] = piece(f"▁{new}")
    return ids


ROW = torch.tensor([0])
ONE, TWO = {"dog": "man"}, {"dog": "man", "sees": "waits"}


@pytest.mark.parametrize("better", [False, True])
def test_offers_over_the_budget_cost_no_query(better):
    confirmed, spy = echoing(Limits(max_words=1))
    assert confirmed.bound.tolist() == [2]
    assert confirmed.offer(ROW, with_words(confirmed, **TWO), by="test", better=better).tolist() == [False]
    assert confirmed.show(ROW, with_words(confirmed, **TWO), by="test").tolist() == [NONE_YET]
    outputs = confirmed.sources.ids[:1]
    assert confirmed.judge(ROW, with_words(confirmed, **TWO), outputs, torch.zeros(1)).tolist() == [0]
    assert confirmed.claimed == [False]
    confirmed.close()
    assert spy.shown == [] and confirmed.texts == ["the dog sees a cat."] and not confirmed.solved.any()
    assert confirmed.show(ROW, with_words(confirmed, **ONE), by="test").tolist() == [0]
    assert confirmed.words.tolist() == confirmed.bound.tolist() == [1] and confirmed.claimed == [True]
    assert confirmed.victim.queries == [1]


def test_a_limit_on_text_is_part_of_success():
    """Longer texts meet the goal and break the limit: greedily, when offered, shown, and at the end."""
    limit = Longer()
    confirmed, spy = echoing(Limits(on_text=(limit,)))  # type: ignore[arg-type]
    longer, shorter = with_words(confirmed, dog="woman"), with_words(confirmed, dog="a")
    outputs = confirmed.sources.ids[:1]
    assert confirmed.judge(ROW, longer, outputs, torch.zeros(1)).tolist() == [1]
    assert confirmed.claimed == [False] and limit.asked == [["the dog sees a cat.", "the woman sees a cat."]]
    assert confirmed.offer(ROW, longer, by="test").tolist() == [False]
    assert confirmed.show(ROW, longer, by="test").tolist() == [1]
    confirmed.close()
    assert confirmed.texts == ["the woman sees a cat."] and not confirmed.solved.any()
    assert confirmed.show(ROW, shorter, by="test").tolist() == [0]
    assert confirmed.texts == ["the a sees a cat."] and confirmed.solved.all() and confirmed.claimed == [True]
    assert spy.shown == ["the woman sees a cat.", "the a sees a cat."] and len(limit.asked) == 2


def test_the_limit_is_not_asked_about_what_misses_the_goal():
    limit = Longer()
    confirmed, _ = echoing(Limits(on_text=(limit,)))  # type: ignore[arg-type]
    confirmed.goal.violations = lambda row, output: 3  # type: ignore[method-assign]
    assert confirmed.show(ROW, with_words(confirmed, **ONE), by="test").tolist() == [3]
    confirmed.close()
    assert limit.asked == []


@pytest.mark.parametrize(
    ("limits", "expected"),
    [(NO_LIMITS, "the child sees a woman."), (Limits(on_text=(Longer(),)), "the a sees a cat.")],  # type: ignore[arg-type]
)
def test_restoration_keeps_the_limits(limits, expected):
    """Either word can be put back for the goal, the first one first; but then the text is longer than its original."""
    confirmed, _ = echoing(limits, ("the child sees a cat.",))
    assert confirmed.offer(ROW, with_words(confirmed, child="a", cat="woman"), by="test").tolist() == [True]
    assert confirmed.texts == ["the a sees a woman."]
    restore(confirmed, ROW)
    assert confirmed.texts == [expected] and confirmed.words.tolist() == [1]


def test_too_many_changes_are_cut_to_the_largest():
    """Against a sort of each sentence's changed words; a larger delta that changes nothing doesn't count."""
    vocabulary = Vocabulary(tiny.victim(tiny.unigram()))
    texts = ["the dog sees a cat near the big house", "a man waits", "the old woman runs with a dog"]
    draw = torch.Generator().manual_seed(3)
    for most in (1, 2, 3, 20):
        sources = Sources(vocabulary, texts, limits=Limits(max_words=most))
        rows = torch.tensor([2, 0, 1, 2])
        ids = torch.where(
            sources.changeable[rows] & (torch.rand(4, sources.ids.shape[1], generator=draw) < 0.7), 7, sources.ids[rows]
        )
        delta = torch.randn(*ids.shape, 4, generator=draw)
        found = cut(ids, delta, sources, rows)
        for line, row in enumerate(rows.tolist()):
            changed = (ids[line] != sources.ids[row]).nonzero().squeeze(1).tolist()
            kept = set(sorted(changed, key=lambda p: -delta[line, p].norm().item())[:most])
            expected = [int(ids[line, p]) if p in kept else int(sources.ids[row, p]) for p in range(ids.shape[1])]
            assert found[line].tolist() == expected


SENTENCES = ["A man is buying an apple.", "The dog is sleeping in the garden.", "A grandmother sees the old tree."]


@pytest.fixture(scope="module")
def embedded() -> Victim:
    found = Victim.from_pretrained(VictimConfig(num_beams=2, max_new_tokens=24))
    found.model.double()
    return found


@pytest.mark.parametrize("search", [gradient_search, refine])
def test_what_is_confirmed_and_tried_keeps_to_the_budget(embedded, search, monkeypatch):
    """No text over the budget is decoded with beams; greedily, only the gradient search goes over it."""
    examples = [Example(i, text) for i, text in enumerate(SENTENCES)]
    limits = Limits(max_words_share=0.3)
    batch = clean_batch(Vocabulary(embedded), examples, limits=limits)
    assert batch.sources.budget.tolist() == [2, 2, 2]
    confirmed = Confirmation(batch.victim, batch.sources, non_overlapping_goal(batch), batch.outputs, limits)
    judge, generate, greedy, reported = confirmed.judge, batch.victim.generate, [], []

    def judged(rows, ids, outputs, loss):
        greedy.extend(batch.sources.changed(rows, ids).tolist())
        return judge(rows, ids, outputs, loss)

    def generated(texts, rows):
        reported.extend(zip(texts, rows.tolist(), strict=True))
        return generate(texts, rows)

    monkeypatch.setattr(confirmed, "judge", judged)
    monkeypatch.setattr(batch.victim, "generate", generated)
    search(confirmed, torch.arange(3), Seq2SickConfig(steps=12, refine_rounds=4, candidates=32), lambda count: None)
    assert reported and greedy
    for text, row in reported:
        assert sum(a != b for a, b in zip(words(SENTENCES[row]), words(text), strict=True)) <= 2
    assert (max(greedy) > 2) == (search is gradient_search)
    assert (confirmed.words[confirmed.solved] <= 2).all() and confirmed.solved.any()


def test_what_the_limits_leave_nothing_of_costs_one_query(embedded):
    vocabulary = Vocabulary(embedded)
    example = [Example(0, "The dog is sleeping.")]
    for limits in (Limits(frozenset("the dog is sleeping".split())), Limits(max_words_share=0.1)):
        [record] = seq2sick(vocabulary, example, config=Seq2SickConfig(), seed=0, limits=limits)
        assert (record.success, record.queries, record.skipped) == (False, 1, None)
        assert record.adversarial == record.original


LOOSE = {
    "words that stay": Limits(frozenset({"zebra"})),
    "number": Limits(max_words=99),
    "share": Limits(max_words_share=1.0),
    "perplexity": Limits(on_text=(MaxPerplexityRatio(tiny.language_model(), 1e12),)),
    "similarity": Limits(on_text=(MinSimilarity(tiny.encoder(), -1.0),)),
}
QUICK = {"steps": 4, "candidates": 10, "refine_rounds": 2}
SWAPS = {"baseline": "gradient_swaps", "swap_steps": 3, "swap_candidates": 16, "top_k": 8}


@pytest.mark.parametrize("name", ["seq2sick", "gradient_swaps"])
def test_limits_that_never_bind_change_no_record(embedded, name):
    vocabulary = Vocabulary(embedded)
    examples = [Example(i, text) for i, text in enumerate(SENTENCES)]

    def records(**limits):
        if name == "seq2sick":
            found = seq2sick(vocabulary, examples, config=Seq2SickConfig(**QUICK), seed=0, **limits)
        else:
            found = baseline(vocabulary, examples, config=BaselineConfig(**SWAPS), seed=0, **limits)
        return [asdict(replace(record, seconds=0.0)) for record in found]

    expected = records()
    assert any(record["success"] for record in expected)
    for limits in LOOSE.values():
        if name == "gradient_swaps" and limits.max_words:
            limits = Limits(max_words=5)  # a larger one would widen the baselines' own
        assert records(limits=limits) == expected
