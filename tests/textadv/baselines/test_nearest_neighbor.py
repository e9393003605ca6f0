"""Nearest neighbour: steps against finite differences, the end against brute force, claims against transformers."""

from dataclasses import replace

import pytest
import tiny
import torch

from textadv.attack import clean_batch, keywords_goal, non_overlapping_goal
from textadv.baselines import nearest_neighbor as module
from textadv.baselines.baseline import baseline
from textadv.baselines.nearest_neighbor import longest, nearest_neighbor, step
from textadv.configs import BaselineConfig, VictimConfig
from textadv.confirmation import Confirmation
from textadv.limits import Limits
from textadv.seq2sick import SearchState, init
from textadv.types import CountedVictim, Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary

CONFIG = BaselineConfig(baseline="nearest_neighbor", continuous_steps=12, continuous_step_size=2.0)
TEXTS = ["A man is buying an apple.", "The dog is sleeping.", "Xqzv jkwpx!", "A woman sees a tree in the garden."]
ROWS = torch.arange(len(TEXTS))
OPEN = torch.tensor([0, 1, 3])  # the third holds no word that may change


def on(victim: Victim, texts, most: int | None = None):
    """A batch in float64, of whose words so many may change."""
    victim.model.double()
    limits = Limits(max_words=most)
    return clean_batch(Vocabulary(victim), [Example(i, text) for i, text in enumerate(texts)], limits=limits)


@pytest.fixture(scope="module")
def batch():
    """On the embedded victim, two words of a sentence."""
    return on(Victim.from_pretrained(VictimConfig(num_beams=2)), TEXTS, most=2)


@pytest.fixture(scope="module")
def random_batch():
    """On a random victim."""
    return on(tiny.victim(tiny.unigram()), ["the small dog runs near a house", "woman sees", "cat, under the tree."])


def goals(batch):
    overlaps = non_overlapping_goal(batch)
    return {"overlaps": overlaps, "words": keywords_goal(batch, count=1, pool=["Hund", "Stadt", "Frau"], seed=0)}


def confirmation(batch, goal: str = "words") -> Confirmation:
    victim = CountedVictim(batch.sources.vocabulary.victim, len(batch.outputs))
    return Confirmation(victim, batch.sources, goals(batch)[goal], batch.outputs)


def deltas(batch, size: float) -> torch.Tensor:
    """A random delta (B, T, d), `size` units long for each word that may change."""
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(batch.sources.embeds.shape, generator=draw, dtype=torch.float64)
    values = values / values.norm(dim=-1, keepdim=True) * size * batch.sources.vocabulary.unit
    return values * batch.sources.changeable[..., None]


# The parts ----------------------------------------------------------------------------------------------


def test_the_longest_stay():
    delta = torch.tensor([[[0.0, 3.0], [4.0, 0.0], [0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0]] * 4])
    for most, kept in {1: [1], 2: [0, 1], 3: [0, 1, 3], 4: [0, 1, 3], 99: [0, 1, 3]}.items():
        found = longest(delta, torch.tensor([most, 2]))
        assert (found[0] != 0).any(-1).nonzero().squeeze(1).tolist() == kept
        assert torch.equal(found[0, kept], delta[0, kept])
        assert not found[1].any()


@pytest.mark.parametrize("goal", ["overlaps", "words"])
def test_a_step_is_a_proximal_gradient_step_at_the_vectors_themselves(random_batch, goal, monkeypatch):
    """The gradient by central differences of the loss of x + delta, far from any word, along its own greedy output."""
    sources, rows = random_batch.sources, torch.tensor([2, 0])
    confirmed, victim = confirmation(random_batch, goal), random_batch.sources.vocabulary.victim
    confirmed.goal.margin = 10.0  # no hinge is flat
    delta = deltas(random_batch, 1.5)[rows]
    decoded = victim.greedy(sources.embeds[rows] + delta, sources.mask[rows])

    def loss(moved: torch.Tensor) -> torch.Tensor:
        logits = victim.logits(sources.embeds[rows] + moved, sources.mask[rows], decoded.outputs)
        leads = confirmed.goal.leads(logits, rows)
        return confirmed.goal.loss(leads, decoded.outputs, decoded.lengths, rows)

    gradient = torch.zeros_like(delta)
    for row, at in sources.changeable[rows].nonzero().tolist():
        for axis in range(delta.shape[-1]):
            towards = torch.zeros_like(delta)
            towards[row, at, axis] = 1e-6
            gradient[row, at, axis] = (loss(delta + towards) - loss(delta - towards))[row] / 2e-6
    largest = gradient.norm(dim=-1).amax(1)
    assert (largest > 0).all()
    eta = 2.0 * sources.vocabulary.unit
    moved = delta - eta * gradient / largest[:, None, None]
    length = moved.norm(dim=-1, keepdim=True)
    shrunk = moved * (1 - 0.3 * eta / length.clamp(min=1e-12)).clamp(min=0)
    for most in (2, 99):
        monkeypatch.setattr(sources, "budget", torch.full((3,), most))
        config = replace(CONFIG, continuous_lasso=0.3)
        found = step(confirmed, SearchState(rows, delta), decoded, config).delta
        torch.testing.assert_close(found, longest(shrunk, torch.tensor([most, most])), rtol=0, atol=1e-6)
        assert int((found != 0).any(-1).sum(1).max()) <= most
    assert (shrunk != 0).any(-1).sum(1).max() > 2


def test_the_continuous_loss_falls(random_batch):
    """Small steps, each along the output of x + delta, until every output says its keyword; no sentence is left out."""
    goal = goals(random_batch)["words"]
    goal.margin = 10.0
    confirmed = Confirmation(random_batch.victim, random_batch.sources, goal, random_batch.outputs)
    sources, rows, victim = random_batch.sources, torch.arange(3), random_batch.sources.vocabulary.victim
    state, losses, outputs = init(sources, rows), [], set()
    config = replace(CONFIG, continuous_step_size=0.1, continuous_lasso=0.0)
    for _ in range(40):
        decoded = victim.greedy(sources.embeds + state.delta, sources.mask)
        logits = victim.logits(sources.embeds + state.delta, sources.mask, decoded.outputs)
        losses.append(goal.loss(goal.leads(logits, rows), decoded.outputs, decoded.lengths, rows))
        outputs.add(str(decoded.outputs.tolist()))
        state = step(confirmed, state, decoded, config)
    assert (losses[0] > 0).all() and (losses[-1] < 0).all()
    assert len(outputs) > 1


# The whole ----------------------------------------------------------------------------------------------


def watched(batch, goal: str, config: BaselineConfig, monkeypatch):
    """A finished search, its deltas of each row in order, what it offered, how many were said to be finished."""
    confirmed, real_step, real_offer = confirmation(batch, goal), module.step, Confirmation.offer_only
    deltas = {row: [torch.zeros_like(batch.sources.embeds[row])] for row in range(len(batch.outputs))}
    offered, finished = {}, []

    def watching_step(confirmed, state, decoded, config):
        state = real_step(confirmed, state, decoded, config)
        for row, delta in zip(state.rows.tolist(), state.delta, strict=True):
            deltas[row].append(delta)
        return state

    def watching_offer(self, rows, ids, *, by):
        for row, pieces in zip(rows.tolist(), ids, strict=True):
            assert row not in offered, "projected once"
            offered[row] = pieces
        real_offer(self, rows, ids, by=by)

    monkeypatch.setattr(module, "step", watching_step)
    monkeypatch.setattr(Confirmation, "offer_only", watching_offer)
    nearest_neighbor(confirmed, ROWS, config, ROWS, finished.append)
    return confirmed, deltas, offered, sum(finished)


def says(batch, row: int, delta: torch.Tensor) -> str:
    """What transformers' own greedy decoding writes for x + delta, sentence by sentence."""
    victim, length = batch.sources.vocabulary.victim, int(batch.sources.mask[row].sum())
    embeds = (batch.sources.embeds[row] + delta)[None, :length]
    mask = torch.ones(1, length, dtype=torch.long)
    options = {"num_beams": 1, "do_sample": False, "max_new_tokens": victim.config.max_new_tokens}
    written = victim.model.generate(inputs_embeds=embeds, attention_mask=mask, **options)
    return victim.tokenizer.decode(written[0], skip_special_tokens=True).strip()


def nearest(batch, row: int, delta: torch.Tensor) -> list[int]:
    """By brute force: for each vector that moved the nearest of the pieces allowed there and its own."""
    sources, vocabulary = batch.sources, batch.sources.vocabulary
    found = sources.ids[row].tolist()
    for at in (delta != 0).any(-1).nonzero().squeeze(1).tolist():
        allowed = vocabulary.allowed[sources.places[row, at]].nonzero().squeeze(1).tolist()
        options = torch.tensor(sorted({*allowed, found[at]}))
        distance = (sources.embeds[row, at] + delta[at] - vocabulary.victim.embed(options)).norm(dim=-1)
        found[at] = int(options[distance.argmin()])
    return found


@pytest.mark.parametrize("goal", ["overlaps", "words"])
def test_each_sentence_stops_at_the_first_delta_that_meets_the_goal_and_is_projected_once(batch, goal, monkeypatch):
    confirmed, deltas, offered, finished = watched(batch, goal, CONFIG, monkeypatch)
    assert set(offered) == set(OPEN.tolist()) and finished == len(OPEN)
    assert len(deltas[2]) == 1 and not confirmed.claimed[2]
    for row in OPEN.tolist():
        tried = [confirmed.goal.violations(row, says(batch, row, delta)) == 0 for delta in deltas[row]]
        assert confirmed.claimed[row] == tried[-1] and not any(tried[:-1])
        assert confirmed.claimed[row] or len(tried) == CONFIG.continuous_steps + 1
        assert max(int((delta != 0).any(-1).sum()) for delta in deltas[row]) <= 2
        assert offered[row].tolist() == nearest(batch, row, deltas[row][-1])
        # One greedy decoding for each delta, one pass for each step; the text, if it's another, is decoded once.
        changed = offered[row].tolist() != batch.sources.ids[row].tolist()
        assert confirmed.victim.queries[row] == 2 * len(tried) - 1 + changed
    assert any(confirmed.claimed)


def test_the_record_tells_apart_what_the_vectors_and_what_the_text_did(batch):
    """Steps of a quarter of a unit: vectors stay near their own words, which they are turned back into."""
    config = replace(CONFIG, continuous_step_size=0.25, continuous_steps=30)
    examples = [Example(i, text) for i, text in enumerate(TEXTS)]
    limits = Limits(max_words=99)
    records = baseline(batch.sources.vocabulary, examples, config=config, seed=0, limits=limits)
    assert sum(record.search_success for record in records) >= 2
    assert sum(record.success for record in records) == 0
    for record in records:
        assert record.found_by is None and record.changed_words <= 99
        assert (record.adversarial_output == record.clean_output) or record.changed_words > 0
    bold = replace(config, continuous_step_size=4.0)
    records = baseline(batch.sources.vocabulary, examples, config=bold, seed=0, limits=limits)
    found = [r for r in records if r.success]
    assert found and all(r.found_by == "nearest neighbor" and r.changed_words > 0 for r in found)


def test_a_failure_is_reported_with_the_sentence_that_came_out(batch, monkeypatch):
    """With the output of that sentence, which meets the goal nowhere."""
    confirmed, _, offered, _ = watched(batch, "words", replace(CONFIG, continuous_steps=1), monkeypatch)
    confirmed.close()
    changed = [row for row in offered if offered[row].tolist() != batch.sources.ids[row].tolist()]
    assert changed
    for row in changed:
        [text] = batch.sources.text(torch.tensor([row]), offered[row][None])
        assert confirmed.texts[row] == text
        assert confirmed.outputs[row] == batch.sources.vocabulary.victim.generate([text])[0]


def test_zero_steps_change_nothing(batch):
    examples = [Example(i, text) for i, text in enumerate(TEXTS)]
    for record in baseline(batch.sources.vocabulary, examples, config=replace(CONFIG, continuous_steps=0), seed=0):
        assert (record.success, record.search_success, record.adversarial) == (False, False, record.original)
