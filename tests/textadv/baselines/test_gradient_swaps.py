"""Gradient swaps: the ranking against finite differences, the search against all one-word sentences."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest
import torch
from scipy import stats

from textadv.attack import clean_batch, keywords_goal, non_overlapping_goal
from textadv.baselines.gradient_swaps import drawn_swaps, gradient_swaps, predicted_changes, within_budget
from textadv.configs import BaselineConfig, VictimConfig
from textadv.confirmation import Confirmation
from textadv.limits import Limits
from textadv.noise import example_seeds
from textadv.refinement import loss_and_gradient
from textadv.types import Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary

SENTENCES = ["A man is buying an apple.", "The dog is sleeping.", "A woman sees a tree in the garden."]


@pytest.fixture(scope="module")
def batch():
    return limited_to(2)


def limited_to(most: int):
    """The embedded victim in float64, which reports its greedy outputs, so that one search can be exhaustive."""
    victim = Victim.from_pretrained(VictimConfig(num_beams=1))
    victim.model.double()
    vocabulary = Vocabulary(victim, corpus=["man woman dog cat tree apple the is"], min_count=1)
    examples = [Example(i, text) for i, text in enumerate(SENTENCES)]
    return clean_batch(vocabulary, examples, limits=Limits(max_words=most))


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


def teacher_forced(batch, goal, row: int, embeds: torch.Tensor, decoded) -> torch.Tensor:
    """The loss of source vectors (T, d) along an output."""
    rows, outputs = torch.tensor([row]), decoded.outputs[:, : int(decoded.lengths[0])]
    leads = goal.leads(batch.sources.vocabulary.victim.logits(embeds[None], batch.sources.mask[rows], outputs), rows)
    return goal.loss(leads, outputs, decoded.lengths, rows)[0]


@pytest.mark.parametrize("top_k", [2, 100])
def test_predictions_are_directional_derivatives(batch, top_k):
    """(w_j - x_i) . dL/dx_i, by central differences along w_j - x_i, at sentences that have changed already."""
    sources, rows = batch.sources, torch.tensor([2, 0])
    victim = sources.vocabulary.victim
    ids = sources.ids[rows].clone()
    for line, row in enumerate(rows.tolist()):
        position, piece = list(substitutions(sources, row, ids[line]))[7]
        ids[line, position] = piece
    for goal in goals(batch, margin=3.0):
        _, gradient, _ = loss_and_gradient(ids, batch.victim, sources, goal, rows)
        pieces, change = predicted_changes(ids, gradient, sources, rows, top_k)
        assert change[~sources.changeable[rows]].isinf().all()
        for line, row in enumerate(rows.tolist()):
            embeds = victim.embed(ids[line])
            decoded = victim.greedy(ids[line : line + 1], sources.mask[row : row + 1])
            options = itertools.groupby(substitutions(sources, row, ids[line]), key=lambda pair: pair[0])
            for position, pairs in options:
                expected = {}
                for _, piece in pairs:
                    towards = torch.zeros_like(embeds)
                    towards[position] = 1e-6 * (victim.embed(torch.tensor(piece)) - embeds[position])
                    up, down = (teacher_forced(batch, goal, row, embeds + c, decoded) for c in (towards, -towards))
                    expected[piece] = (up - down).item() / 2e-6
                real = change[line, position].isfinite()
                found = dict(
                    zip(pieces[line, position][real].tolist(), change[line, position][real].tolist(), strict=True)
                )
                assert len(found) == min(top_k, len(expected))
                assert list(found.values()) == pytest.approx(
                    sorted(expected.values())[: len(found)], rel=1e-4, abs=1e-4
                )
                for piece, value in found.items():
                    assert value == pytest.approx(expected[piece], rel=1e-4, abs=1e-4)


def test_swaps_are_drawn_uniformly_and_never_twice():
    """3 of the 9 swaps that there are, from many seeds: every set of 3 is equally likely (chi-square)."""
    ids = torch.tensor([[1, 2, 3, 4]]).repeat(8_400, 1)
    pieces = torch.arange(10, 22).view(1, 4, 3).repeat(len(ids), 1, 1)
    change = torch.zeros(pieces.shape)
    change[:, 1] = torch.inf  # nothing may be written there
    candidates, real = drawn_swaps(ids, pieces, change, 3, torch.arange(len(ids)), 5)
    assert real.all() and candidates.shape == (8_400, 3, 4)
    new = candidates != ids[:, None]
    assert (new.sum(2) == 1).all() and not new[:, :, 1].any()
    written = candidates[new].view(-1, 3).sort(dim=1).values
    counts = Counter(map(tuple, written.tolist()))
    sets = list(itertools.combinations([10, 11, 12, 16, 17, 18, 19, 20, 21], 3))
    assert set(counts) == set(sets)
    assert stats.chisquare([counts[some] for some in sets]).pvalue > 1e-3
    _, real = drawn_swaps(ids[:2], pieces[:2], change[:2], 100, torch.arange(2), 5)
    assert real.sum(1).tolist() == [9, 9]


def test_once_the_budget_is_spent_only_changed_words_are_open(batch):
    sources, rows = limited_to(1).sources, torch.tensor([0, 0, 0])
    ids = sources.ids[rows].clone()
    ids[1, 1] = ids[2, 1] = ids[2, 3] = 7
    assert within_budget(ids, sources, rows).tolist() == [
        [True] * ids.shape[1],
        [position == 1 for position in range(ids.shape[1])],
        [position in (1, 3) for position in range(ids.shape[1])],
    ]
    assert within_budget(ids, batch.sources, rows)[1].all()


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
        found.append(any(goal.violations(row, output) == 0 for output in sources.vocabulary.victim.generate(texts)))
    return found


def test_with_every_swap_decoded_every_one_word_success_is_found():
    batch, config = limited_to(1), BaselineConfig(swap_steps=1, swap_candidates=10_000, top_k=100)
    expected, found = [], []
    for words in (None, "Hund", "Baum", "Mann", "Großmutter", "Hund Katze", "Baum Apfel"):
        goal = non_overlapping_goal(batch)
        if words:
            examples = [Example(i, text, keywords=tuple(words.split())) for i, text in enumerate(SENTENCES)]
            goal = keywords_goal(replace(batch, examples=examples), count=0, pool=(), seed=0)
        confirmed = Confirmation(batch.victim, batch.sources, goal, batch.outputs)
        gradient_swaps(confirmed, torch.arange(3), config, example_seeds(0, range(3)), lambda count: None)
        expected.append(one_word_successes(batch, goal))
        found.append(confirmed.solved.tolist())
        assert set(confirmed.words[confirmed.solved].tolist()) <= {1}
    assert found == expected
    flat = list(itertools.chain.from_iterable(expected))
    assert 3 <= sum(flat) <= len(flat) - 3


def test_each_step_goes_on_from_the_least_loss_of_the_step_before(batch, monkeypatch):
    """Whether it is better than the sentence was or not; and never over the budget of two words."""
    sources = batch.sources
    goal = keywords_goal(batch, count=3, pool=["Hund", "Katze", "Baum", "Apfel", "Brot"], seed=1)
    confirmed = Confirmation(batch.victim, sources, goal, batch.outputs)
    judge, steps = confirmed.judge, []

    def watched(rows, ids, outputs, loss):
        steps.append({row: [(ids[i], loss[i].item()) for i in (rows == row).nonzero()[:, 0]] for row in rows.tolist()})
        return judge(rows, ids, outputs, loss)

    monkeypatch.setattr(confirmed, "judge", watched)
    config = BaselineConfig(swap_steps=5, swap_candidates=6, top_k=3)
    gradient_swaps(confirmed, torch.arange(3), config, example_seeds(4, range(3)), lambda count: None)
    assert len(steps) == 5
    standing = {row: sources.ids[row] for row in range(3)}
    best = {row: float("inf") for row in range(3)}
    worse = 0
    for step in steps:
        for row, tries in step.items():
            assert 1 <= len(tries) <= 6 and len({tuple(ids.tolist()) for ids, _ in tries}) == len(tries)
            for ids, _ in tries:
                assert (ids != standing[row]).sum() == 1
                assert (ids != sources.ids[row]).sum() <= 2
            standing[row], least = min(tries, key=lambda one: one[1])
            worse += least > best[row]
            best[row] = least
    assert worse  # else the test says nothing about steps uphill


def test_sentences_without_a_word_that_may_change_are_left_alone(batch):
    alone = clean_batch(batch.sources.vocabulary, [Example(0, "Xqzv jkwpx!")])
    confirmed = Confirmation(alone.victim, alone.sources, non_overlapping_goal(alone), alone.outputs)
    gradient_swaps(confirmed, torch.tensor([0]), BaselineConfig(), torch.tensor([1]), lambda count: None)
    assert alone.victim.queries == [1] and not confirmed.solved.any()
