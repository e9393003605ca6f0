"""The refinement against exhaustive search, on the embedded victim and a vocabulary of a few words."""

import itertools
from copy import copy
from dataclasses import replace

import pytest
import tiny
import torch

from textadv import refinement
from textadv.attack import clean_batch, keywords_goal, non_overlapping_goal
from textadv.configs import Seq2SickConfig, VictimConfig
from textadv.confirmation import NONE_YET, Confirmation
from textadv.decoding import Decoded
from textadv.goals import TargetedKeywords
from textadv.limits import Limits
from textadv.refinement import exact_loss, propose, refine, reported_with_leads, with_room
from textadv.types import Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary

WORDS = "man woman dog cat tree apple the is"
SENTENCES = ["A man is buying an apple.", "The dog is sleeping.", "A woman sees a tree in the garden."]


@pytest.fixture(scope="module")
def victim() -> Victim:
    """The embedded victim in float64. It reports its greedy outputs, so that one search can be exhaustive."""
    found = Victim.from_pretrained(VictimConfig(num_beams=1))
    found.model.double()
    return found


@pytest.fixture(scope="module")
def batch(victim):
    return clean_batch(
        Vocabulary(victim, corpus=[WORDS], min_count=1),
        [Example(i, text) for i, text in enumerate(SENTENCES)],
    )


def goals(batch, margin: float = 0.0):
    return (
        non_overlapping_goal(batch, margin=margin),
        keywords_goal(batch, count=2, pool=["Hund", "Baum", "Katze", "Apfel"], seed=0, margin=margin),
    )


def substitutions(sources, row: int, ids: torch.Tensor):
    """All (position, piece) that may be written into a sentence, and change it."""
    for position in sources.changeable[row].nonzero().squeeze(1).tolist():
        for piece in sources.vocabulary.allowed[sources.places[row, position]].nonzero().squeeze(1).tolist():
            if piece != ids[position]:
                yield position, piece


def teacher_forced(batch, goal, row: int, embeds: torch.Tensor, decoded, kept=None) -> torch.Tensor:
    """The loss of source vectors (T, d) along an output; of some keywords only, where `kept` lists them."""
    rows, length = torch.tensor([row]), int(decoded.lengths[0])
    outputs, victim = decoded.outputs[:, :length], batch.sources.vocabulary.victim
    leads = goal.leads(victim.logits(embeds[None], batch.sources.mask[rows], outputs), rows)
    if kept is None:
        return goal.loss(leads, outputs, decoded.lengths, rows)[0]
    return goal.costs(leads, outputs, decoded.lengths, rows)[0, kept].sum()


def demands(batch, goal, row: int, embeds: torch.Tensor, decoded, turn: int) -> list[int] | None:
    """The keywords that a sentence of a beam goes for: those that are there, and one that is missing."""
    if not isinstance(goal, TargetedKeywords):
        return None
    costs = [teacher_forced(batch, goal, row, embeds, decoded, [k]).item() for k in range(len(goal.keywords[row]))]
    missing = sorted((k for k, cost in enumerate(costs) if cost > 0), key=costs.__getitem__)
    there = [k for k, cost in enumerate(costs) if cost <= 0]
    return there + missing[turn % len(missing) :][:1] if missing else there


def predictions(batch, goal, row: int, sentence: torch.Tensor, turn: int) -> list[dict]:
    """The first-order predictions of `refinement.py`: for each place, of every sentence that it may make.

    One word and one piece at a time, with a numerical derivative in the direction of the piece.
    """
    vocabulary = batch.sources.vocabulary
    decoded = vocabulary.victim.greedy(sentence[None], batch.sources.mask[row : row + 1])
    kept = demands(batch, goal, row, vocabulary.victim.embed(sentence), decoded, turn)
    found = []
    options = itertools.groupby(substitutions(batch.sources, row, sentence), key=lambda pair: pair[0])
    for position, pairs in options:
        embeds = vocabulary.victim.embed(sentence).clone()
        embeds[position] = vocabulary.blank
        loss = teacher_forced(batch, goal, row, embeds, decoded, kept).item()
        scores = {}
        for _, piece in pairs:
            change = torch.zeros_like(embeds)
            change[position] = 1e-6 * (vocabulary.victim.embed(torch.tensor(piece)) - vocabulary.blank)
            up, down = (teacher_forced(batch, goal, row, embeds + c, decoded, kept) for c in (change, -change))
            ids = sentence.clone()
            ids[position] = piece
            scores[tuple(ids.tolist())] = loss + (up - down).item() / 2e-6
        found.append(scores)
    return found


@pytest.mark.parametrize(("margin", "per_word"), [(0.0, 2), (3.0, 100)])
def test_candidates_are_ranked_by_first_order_from_the_blank(batch, margin, per_word, monkeypatch):
    monkeypatch.setattr(refinement, "PER_WORD", per_word)
    sources, rows, count = batch.sources, torch.tensor([2, 0]), 20
    beams = sources.ids[rows][:, None].repeat(1, 2, 1)
    for line, row in enumerate(rows.tolist()):  # the second sentence of each beam differs from the first
        position, piece = next(substitutions(sources, row, beams[line, 1]))
        beams[line, 1, position] = piece
    for goal in goals(batch, margin):
        candidates, real = propose(beams, batch.victim, sources, goal, rows, count)
        assert candidates.shape[:2] == real.shape
        each = count // 2  # a sentence's share
        for line, row in enumerate(rows.tolist()):
            for turn, sentence in enumerate(beams[line]):
                share = slice(turn * each, (turn + 1) * each)
                places = predictions(batch, goal, row, sentence, turn)
                best = sorted(score for scores in places for score in sorted(scores.values())[:per_word])[:each]
                every = {ids: score for scores in places for ids, score in scores.items()}
                found = [every[tuple(ids)] for ids in candidates[line, share][real[line, share]].tolist()]
                assert found == pytest.approx(best, abs=1e-3, rel=1e-4)


@pytest.mark.parametrize("margin", [0.0, 3.0])
def test_the_exact_loss_is_that_of_a_teacher_forced_pass_on_the_candidates_own_output(batch, margin):
    sources, vocabulary = batch.sources, batch.sources.vocabulary
    tries = []
    for row in range(len(SENTENCES)):
        for position, piece in itertools.islice(substitutions(sources, row, sources.ids[row]), 0, None, 3):
            ids = sources.ids[row].clone()
            ids[position] = piece
            tries.append((row, ids))
    rows, ids = torch.tensor([row for row, _ in tries]), torch.stack([ids for _, ids in tries])
    for goal in goals(batch, margin):
        loss, outputs = exact_loss(ids, batch.victim, sources, goal, rows)
        assert len(set(loss.tolist())) > len(tries) // 3
        for i, row in enumerate(rows.tolist()):
            decoded = vocabulary.victim.greedy(ids[i : i + 1], sources.mask[row : row + 1])
            written = decoded.outputs[0, : decoded.lengths[0]].tolist()
            assert outputs[i, : len(written)].tolist() == written
            expected = teacher_forced(batch, goal, row, vocabulary.victim.embed(ids[i]), decoded)
            assert loss[i].item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-4)


def test_the_gradient_is_taken_along_the_output_that_would_be_reported():
    """With beams, which read otherwise than greedy decoding for some of these sentences."""
    victim = Victim.from_pretrained(VictimConfig(num_beams=3))
    victim.model.double()
    batch = clean_batch(Vocabulary(victim), [Example(i, text) for i, text in enumerate(SENTENCES)])
    sources, generator = batch.sources, torch.Generator().manual_seed(0)
    rows = torch.arange(len(SENTENCES)).repeat(20)
    ids = sources.ids[rows]
    for sentence, row in zip(ids, rows.tolist(), strict=True):
        position, piece = max(substitutions(sources, row, sentence), key=lambda _: torch.rand(1, generator=generator))
        sentence[position] = piece
    texts = sources.text(rows, ids)
    greedy = victim.decode(victim.greedy(ids, sources.mask[rows]).outputs)
    for goal in goals(batch):
        before = list(batch.victim.queries)
        decoded = reported_with_leads(ids, batch.victim, sources, goal, rows)
        assert [b - a for a, b in zip(before, batch.victim.queries, strict=True)] == [40] * 3
        assert victim.decode(decoded.outputs) == victim.generate(texts) != greedy
        for i, row in enumerate(rows.tolist()):
            length = int(decoded.lengths[i])
            assert decoded.outputs[i, length - 1] in victim.eos_ids
            assert victim.special_ids.issuperset(decoded.outputs[i, length:].tolist())
            assert not set(victim.eos_ids) & set(decoded.outputs[i, : length - 1].tolist())
            alone = Decoded(decoded.outputs[i : i + 1], decoded.lengths[i : i + 1], decoded.observed[i : i + 1])
            loss = goal.loss(alone.observed, alone.outputs, alone.lengths, rows[i : i + 1])
            expected = teacher_forced(batch, goal, row, victim.embed(ids[i]), alone)
            assert loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-4)


def one_word_successes(batch, goal) -> list[bool]:
    """Whether any substitution of one word meets the goal, by decoding the text of every one."""
    sources, found = batch.sources, []
    for row in range(len(sources.texts)):
        tries = []
        for position, piece in substitutions(sources, row, sources.ids[row]):
            ids = sources.ids[row].clone()
            ids[position] = piece
            tries.append(ids)
        texts = sources.text(torch.full((len(tries),), row), torch.stack(tries))
        outputs = sources.vocabulary.victim.generate(texts)
        found.append(any(goal.violations(row, output) == 0 for output in outputs))
    return found


def test_with_enough_candidates_every_one_word_success_is_found(batch):
    config = Seq2SickConfig(refine_rounds=1, candidates=10_000)
    expected, found = [], []
    for words in (None, "Hund", "Baum", "Mann", "Großmutter", "Hund Katze", "Baum Apfel"):
        goal = non_overlapping_goal(batch)
        if words:
            examples = [Example(i, text, keywords=tuple(words.split())) for i, text in enumerate(SENTENCES)]
            goal = keywords_goal(replace(batch, examples=examples), count=0, pool=(), seed=0)
        confirmed = Confirmation(batch.victim, batch.sources, goal, batch.outputs)
        refine(confirmed, torch.arange(3), config, lambda count: None)
        expected.append(one_word_successes(batch, goal))
        found.append(confirmed.solved.tolist())
        assert set(confirmed.words[confirmed.solved].tolist()) <= {1}
    assert found == expected
    flat = list(itertools.chain.from_iterable(expected))
    assert 3 <= sum(flat) <= len(flat) - 3


def test_each_round_changes_one_more_word_and_the_fewest_are_kept(batch):
    config = Seq2SickConfig(refine_rounds=3, candidates=40, beam=2)
    rounds = []
    goal = keywords_goal(batch, count=2, pool=["Hund", "Katze", "Baum", "Apfel"], seed=1)
    confirmed = Confirmation(batch.victim, batch.sources, goal, batch.outputs)
    judge = confirmed.judge

    def watched(rows, ids, outputs, loss):
        rounds.append(int(batch.sources.changed(rows, ids).max()))
        return judge(rows, ids, outputs, loss)

    confirmed.judge = watched
    refine(confirmed, torch.arange(3), config, lambda count: None)
    assert rounds == list(range(1, len(rounds) + 1))
    solved = confirmed.words[confirmed.solved]
    assert len(solved) and (solved <= 3).all()
    confirmed.words[:] = torch.where(confirmed.solved, 1, NONE_YET)  # nothing left to gain for these
    queries = list(batch.victim.queries)
    refine(confirmed, confirmed.solved.nonzero().squeeze(1), config, lambda count: None)
    assert batch.victim.queries == queries


def test_a_line_that_has_spent_its_budget_gives_back_one_word_after_another(batch):
    """Against a loop over words; what has room stays as it is."""
    sources, generator = batch.sources, torch.Generator().manual_seed(0)
    budget = torch.tensor([1, 3, 2])
    sources = copy(sources)
    sources.budget = budget
    rows = torch.tensor([2, 0, 1])
    pieces = torch.randint(5, 300, (3, 4, sources.ids.shape[1]), generator=generator)
    change = (torch.rand(pieces.shape, generator=generator) < 0.3) & sources.changeable[rows][:, None]
    lines = pieces.where(change, sources.ids[rows][:, None])
    full = 0
    for turn in range(1, 7):
        expected = lines.clone()
        for i, row in enumerate(rows.tolist()):
            for line in expected[i]:
                changed = (line != sources.ids[row]).nonzero().squeeze(1).tolist()
                if len(changed) >= budget[row]:
                    place = changed[turn % int(budget[row])]
                    line[place] = sources.ids[row, place]
                    full += 1
        assert torch.equal(with_room(lines, sources, rows, turn), expected)
    assert 0 < full < 6 * 12


@pytest.mark.parametrize("budget", [1, 2])
def test_rounds_go_on_within_the_budget_until_nothing_changes(batch, budget):
    """No candidate breaks it; a search whose lines stay what they are for as many rounds as they have words ends."""
    texts = [Example(i, text) for i, text in enumerate(SENTENCES)]
    batch = clean_batch(batch.sources.vocabulary, texts, limits=Limits(max_words=budget))
    goal = TargetedKeywords([["Unsagbar"]] * 3, torch.full((3, 1, 1), 5))  # never said
    confirmed = Confirmation(batch.victim, batch.sources, goal, batch.outputs)
    judge, rounds = confirmed.judge, [[] for _ in texts]

    def watched(rows, ids, outputs, loss):
        assert int(batch.sources.changed(rows, ids).max()) <= budget
        best = {row: ids[rows == row][loss[rows == row].argmin()].tolist() for row in set(rows.tolist())}
        for row, found in best.items():
            rounds[row].append(found)
        return judge(rows, ids, outputs, loss)

    confirmed.judge = watched
    refine(confirmed, torch.arange(3), Seq2SickConfig(refine_rounds=30, candidates=200), lambda count: None)
    for found in rounds:
        assert budget < len(found) < 30
        assert all(one == found[-1] for one in found[-1 - budget :])


def test_a_success_counts_whatever_its_loss(batch):
    """A keyword may be written with other pieces than ours, far from what the loss looks for."""

    class Dear(TargetedKeywords):
        def loss(self, *arguments):
            return super().loss(*arguments) + 1e5

    examples = [Example(0, SENTENCES[0], keywords=("Hund",))]
    batch = clean_batch(batch.sources.vocabulary, examples)
    goal = keywords_goal(batch, count=0, pool=(), seed=0, kind=Dear)
    confirmed = Confirmation(batch.victim, batch.sources, goal, batch.outputs)
    refine(confirmed, torch.tensor([0]), Seq2SickConfig(refine_rounds=1, candidates=1000), lambda count: None)
    assert confirmed.words.tolist() == [1]


def test_a_beam_wider_than_the_candidates_writes_nothing_forbidden(monkeypatch):
    """Two allowed pieces, a sentence with one word to change, one with none, and a beam of 6."""
    victim = tiny.victim(tiny.unigram())
    vocabulary = Vocabulary(victim, corpus=["tree street"], min_count=1)
    texts = ["ox☃ dog 3.5", "ox☃ 3.5", "the cat runs."]
    batch = clean_batch(vocabulary, [Example(i, text) for i, text in enumerate(texts)])
    sources = batch.sources
    assert sources.changeable.sum(1).tolist()[:2] == [1, 0]
    seen = []

    def watched(ids, victim, sources, goal, rows):
        seen.extend(zip(rows.tolist(), ids, strict=True))
        return exact_loss(ids, victim, sources, goal, rows)

    monkeypatch.setattr(refinement, "exact_loss", watched)
    goal = TargetedKeywords([["Stadt"]] * 3, torch.full((3, 1, 1), 5))
    confirmed = Confirmation(batch.victim, sources, goal, batch.outputs)
    refine(confirmed, torch.arange(3), Seq2SickConfig(refine_rounds=4, candidates=64, beam=6), lambda count: None)
    assert {row for row, _ in seen} == {0, 2}
    for row, ids in seen:
        for position in (ids != sources.ids[row]).nonzero().squeeze(1).tolist():
            assert vocabulary.allowed[sources.places[row, position], ids[position]]
            assert sources.changeable[row, position]


def test_sentences_without_a_word_that_may_change_are_left_alone():
    victim = tiny.victim(tiny.unigram())
    batch = clean_batch(Vocabulary(victim), [Example(0, "ox☃ 3.5")])
    assert not batch.sources.changeable.any()
    confirmed = Confirmation(batch.victim, batch.sources, non_overlapping_goal(batch), batch.outputs)
    refine(confirmed, torch.tensor([0]), Seq2SickConfig(), lambda count: None)
    assert not confirmed.solved.any()
