"""Gumbel: the limit in which it is discrete, gradients against finite differences, draws against their softmax."""

from dataclasses import replace

import pytest
import tiny
import torch
from scipy import stats

from textadv.attack import clean_batch, non_overlapping_goal
from textadv.baselines import gumbel as module
from textadv.baselines.gumbel import adam, gumbel, init, kept, optimized, sentences, soft_loss, step_noise
from textadv.configs import BaselineConfig
from textadv.confirmation import Confirmation
from textadv.goals import TargetedKeywords
from textadv.limits import Limits
from textadv.noise import example_seeds
from textadv.refinement import decode_with_leads
from textadv.types import Example
from textadv.vocabulary import Vocabulary

TEXTS = ["the cat sees ox☃ a tree.", "dog runs", "a small man, waits under the house"]
ROWS = torch.tensor([2, 0, 1])


def batch_for(words: str, most: int | None = None):
    """Sentences, the pieces that may be written into them and how many, on a random victim in float64."""
    victim = tiny.victim(tiny.unigram(), num_beams=1)
    victim.model.double()
    vocabulary = Vocabulary(victim, corpus=[words], min_count=1)
    examples = [Example(i, text) for i, text in enumerate(TEXTS)]
    return clean_batch(vocabulary, examples, limits=Limits(max_words=most))


def limited_to(most: int | None):
    return batch_for("tree street cat big waits river", most)


@pytest.fixture(scope="module")
def batch():
    return limited_to(None)


def goals(batch):
    """Demanding ones, so that few hinges are flat."""
    keywords = TargetedKeywords([["Hund"], ["Frau"], ["Stadt"]], torch.tensor([[[20]], [[21]], [[22]]]), margin=3.0)
    return non_overlapping_goal(batch, margin=3.0), keywords


def decoded_for(batch, goal, state, ids):
    return decode_with_leads(ids, batch.victim, batch.sources, goal, state.rows)


def loss_by_hand(batch, goal, state, theta, noise, decoded, config) -> torch.Tensor:
    """Mean loss (n,) in float64, one soft sentence at a time, and the expected number of changed words."""
    sources, victim = batch.sources, batch.sources.vocabulary.victim
    total = torch.zeros(len(state.rows), dtype=torch.float64)
    for one in noise:
        shares = ((theta + one) / config.temperature).exp()
        shares = shares / shares.sum(1, keepdim=True)
        embeds = sources.embeds[state.rows].clone()
        for r in range(len(theta)):
            vectors = victim.embed(state.pieces[r])
            embeds[state.sentence[r], state.position[r]] = (shares[r][:, None] * vectors).sum(0)
        logits = victim.logits(embeds, sources.mask[state.rows], decoded.outputs)
        total += goal.loss(goal.leads(logits, state.rows), decoded.outputs, decoded.lengths, state.rows)
    return total / len(noise)


def expected_changes(theta: torch.Tensor) -> torch.Tensor:
    return sum(1 - line.exp()[0] / line.exp().sum() for line in theta)  # type: ignore[return-value]


def test_theta_begins_at_the_original_and_holds_what_is_allowed(batch):
    sources = batch.sources
    state = init(sources, ROWS, 15.0)
    assert len(state.theta) == sources.changeable.sum()
    for r in range(len(state.theta)):
        row, position = state.rows[state.sentence[r]], state.position[r]
        allowed = set(sources.vocabulary.allowed[sources.places[row, position]].nonzero().squeeze(1).tolist())
        own = int(sources.ids[row, position])
        assert (int(state.pieces[r, 0]), state.theta[r, 0].item()) == (own, 15.0)
        assert set(state.pieces[r, 1:][state.theta[r, 1:] == 0].tolist()) == allowed - {own}
        assert (state.theta[r, 1:][state.theta[r, 1:] != 0] == -torch.inf).all()
    assert torch.equal(sentences(state, state.theta, sources), sources.ids[ROWS])


def test_in_the_limit_the_loss_is_the_discrete_one():
    """One allowed replacement, and a temperature near 0: a soft sentence is the sentence of its largest scores."""
    batch = batch_for("tree")
    sources, config = batch.sources, BaselineConfig(temperature=1e-5)
    state = init(sources, ROWS, 0.5)
    assert (state.theta.isfinite().sum(1) <= 2).all()
    different = set()
    for turn in range(6):
        noise = step_noise(state, example_seeds(0, range(3)), turn, 1)
        drawn = sentences(state, state.theta + noise[0], sources)
        different |= {tuple(ids) for ids in drawn.tolist()}
        for goal in goals(batch):
            decoded = decoded_for(batch, goal, state, drawn)
            loss, _ = soft_loss(state, noise, decoded.outputs, decoded.lengths, batch.victim, sources, goal, config)
            exact = goal.loss(decoded.observed, decoded.outputs, decoded.lengths, state.rows)
            assert torch.allclose(loss.double(), exact.double(), rtol=1e-4, atol=1e-4)
    assert len(different) > 8


@pytest.mark.parametrize("samples", [1, 3])
def test_loss_and_gradient(batch, samples):
    """Against a plain sum over pieces, and central differences in every coordinate of some words."""
    sources, config = batch.sources, BaselineConfig(temperature=0.7, keep_weight=0.4, gumbel_samples=samples)
    state = init(sources, ROWS, 1.5)
    noise = step_noise(state, example_seeds(1, range(3)), 4, samples)
    ids = sentences(state, state.theta + noise[0], limited_to(2).sources)
    assert noise.shape == (samples, *state.theta.shape) and noise.dtype == torch.float64
    for goal in goals(batch):
        decoded = decoded_for(batch, goal, state, ids)
        loss, gradient = soft_loss(state, noise, decoded.outputs, decoded.lengths, batch.victim, sources, goal, config)
        arguments = (noise, decoded, config)
        assert torch.allclose(
            loss.double(), loss_by_hand(batch, goal, state, state.theta, *arguments), rtol=1e-5, atol=1e-4
        )
        assert gradient[state.theta.isinf()].abs().max() == 0
        for r in (0, 3, len(state.theta) - 1):
            for column in state.theta[r].isfinite().nonzero().squeeze(1).tolist():
                values = []
                for change in (1e-5, -1e-5):
                    theta = state.theta.clone()
                    theta[r, column] += change
                    loss = loss_by_hand(batch, goal, state, theta, *arguments).sum()
                    values.append((loss + 0.4 * expected_changes(theta)).item())
                expected = (values[0] - values[1]) / 2e-5
                assert gradient[r, column].item() == pytest.approx(expected, rel=1e-3, abs=1e-4)
        assert gradient.abs().max() > 0.05


def test_adam_is_that_of_torch(batch):
    state = init(batch.sources, ROWS, 15.0)
    open_ = state.theta.isfinite()
    theta = state.theta[open_].clone().requires_grad_()
    optimizer = torch.optim.Adam([theta], lr=0.3)
    for turn in range(1, 6):
        gradient = torch.where(open_, torch.sin(turn * torch.arange(open_.numel()).view_as(open_).double()), 0.0)
        theta.grad = gradient[open_].clone()
        optimizer.step()
        state = adam(state, gradient, turn, 0.3)
        assert torch.allclose(state.theta[open_], theta, rtol=1e-12)
        assert (state.theta[~open_] == -torch.inf).all()


def test_over_the_budget_the_largest_leads_stay(batch):
    sources = batch.sources
    state = init(sources, torch.tensor([0]), 0.0)
    words = len(state.theta)
    assert words == 5
    scores = torch.full_like(state.theta, -9.0)
    scores[:, 0] = torch.tensor([0.0, 5.0, 1.0, 0.0, 2.0])
    column = 1 + int(state.theta[:, 1:].isfinite().all(0).nonzero()[0])
    scores[:, column] = torch.tensor([1.0, 5.0, 4.0, 0.5, 1.0])  # leads 1, 0, 3, 0.5, -1
    for most, expected in {1: [2], 2: [0, 2], 3: [0, 2, 3], 9: [0, 2, 3]}.items():
        [ids] = sentences(state, scores, limited_to(most).sources)
        changed = (ids != sources.ids[0]).nonzero().squeeze(1).tolist()
        assert changed == [int(state.position[r]) for r in expected]
        assert set(ids[changed].tolist()) == {int(state.pieces[0, column])}


def test_draws_follow_the_softmax_of_theta(batch):
    """Chi-square on the piece of one word, over many steps."""
    state = init(batch.sources, torch.tensor([1]), 0.0)
    theta = torch.where(
        state.theta.isfinite(), torch.cos(torch.arange(state.theta.numel()).view_as(state.theta)), -torch.inf
    )
    state, counts = replace(state, theta=theta.double()), torch.zeros(state.theta.shape[1])
    seeds = example_seeds(3, range(3))
    for turn in range(1_000):
        [noise] = step_noise(state, seeds, turn, 1)
        [ids] = sentences(state, state.theta + noise, batch.sources)
        counts += state.pieces[1] == ids[state.position[1]]
    open_ = state.theta[1].isfinite()
    assert counts[~open_].sum() == 0
    expected = state.theta[1].softmax(0)[open_] * 1_000
    assert stats.chisquare(counts[open_].numpy(), expected.numpy()).pvalue > 1e-3


def test_sentences_that_leave_take_their_words_along(batch):
    state = init(batch.sources, ROWS, 15.0)
    state = replace(state, theta=torch.arange(state.theta.numel()).view_as(state.theta).double())
    left = kept(state, torch.tensor([True, False, True]))
    assert left.rows.tolist() == [2, 1]
    assert left.sentence.unique().tolist() == [0, 1]
    for r in range(len(left.theta)):
        same = (state.theta == left.theta[r]).all(1).nonzero().squeeze(1)
        assert state.rows[state.sentence[same]] == left.rows[left.sentence[r]]
        assert state.position[same] == left.position[r]


def found(batch, config, seed: int = 0):
    """The search's confirmation, and every sentence that was decoded greedily, by row and number of changed words."""
    goal = non_overlapping_goal(batch)
    confirmed = Confirmation(batch.victim, batch.sources, goal, batch.outputs)
    judge, judged = confirmed.judge, []

    def watched(rows, ids, outputs, loss):
        changed = batch.sources.changed(rows, ids).tolist()
        judged.extend(zip(rows.tolist(), changed, map(tuple, ids.tolist()), strict=True))
        return judge(rows, ids, outputs, loss)

    confirmed.judge = watched  # type: ignore[method-assign]
    gumbel(confirmed, torch.arange(3), config, example_seeds(seed, range(3)), lambda count: None)
    return confirmed, judged


def test_nothing_over_the_budget_is_decoded(batch):
    config = BaselineConfig(gumbel_steps=12, gumbel_tries=20, initial_coefficient=1.0, keep_weight=0.0)
    confirmed, judged = found(limited_to(2), config)
    assert max(changed for _, changed, _ in judged) == 2
    assert (confirmed.words[confirmed.solved] <= 2).all()
    _, judged = found(batch, config)
    assert max(changed for _, changed, _ in judged) > 2


def test_equal_draws_are_decoded_once_and_the_original_is_not_drawn():
    """No steps: the originals are decoded once each, and the rest are draws from the Theta of the beginning."""
    batch, config = limited_to(1), BaselineConfig(gumbel_steps=0, gumbel_tries=200, initial_coefficient=4.0)
    _, judged = found(batch, config)
    assert len(set(judged)) == len(judged)
    assert sum(changed == 0 for _, changed, _ in judged) == 3
    assert sum(changed == 1 for _, changed, _ in judged) > 10
    _, judged = found(batch, replace(config, initial_coefficient=40.0))  # sure of every word
    assert [changed for _, changed, _ in judged] == [0, 0, 0]


def test_a_heavy_penalty_keeps_the_words(batch):
    """Each Adam step then raises the original's coefficient, and the likeliest sentence never changes."""
    config = BaselineConfig(gumbel_steps=20, keep_weight=1e6, initial_coefficient=3.0)
    goal = non_overlapping_goal(batch)
    confirmed = Confirmation(batch.victim, batch.sources, goal, batch.outputs)
    state = init(batch.sources, ROWS, 3.0)
    state = optimized(confirmed, state, config, example_seeds(0, range(3)), lambda count: None)
    assert (state.theta[:, 0] > 3).all()
    assert torch.equal(sentences(state, state.theta, batch.sources), batch.sources.ids[state.rows])
    assert not confirmed.solved.any()


def test_how_many_are_optimised_at_once_changes_nothing(batch, monkeypatch):
    config = BaselineConfig(gumbel_steps=8, gumbel_tries=10, initial_coefficient=2.0)
    together, judged = found(batch, config)
    monkeypatch.setattr(module, "CHUNK_COEFFICIENTS", 1)
    apart, judged_apart = found(batch, config)
    assert sorted(judged) == sorted(judged_apart)
    assert (together.texts, together.outputs) == (apart.texts, apart.outputs)
    assert together.words.tolist() == apart.words.tolist()
