"""The policy gradient against its formula, the bookkeeping against definitions, and a game that can be won."""

import math
import statistics
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from negotiators import WORDS, tiny_agent

from dialogue.configs import ReinforceConfig
from dialogue.domain import all_scenarios
from dialogue.reinforce import Reinforcement, Rewards, own_words, policy_loss, returns, settled
from dialogue.selfplay import Table, play
from dialogue.simulator import corpus
from dialogue.supervised import Views
from dialogue.types import YOU, Utterances


def test_rewards_are_standardized_by_all_so_far():
    seen, rewards = [], Rewards()
    assert rewards.standardized(torch.tensor([3.0])).tolist() == [0.0]
    for some in ([4.0, 0.0, 7.0], [10.0], [2.0, 2.0, 5.0, 0.0]):
        rewards.add(some)
        seen += some
        if len(seen) > 1:
            expected = [(one - statistics.fmean(seen)) / statistics.stdev(seen) for one in some]
            assert rewards.standardized(torch.tensor(some, dtype=torch.float64)).tolist() == pytest.approx(expected)
    same = Rewards()
    same.add([5.0, 5.0])
    assert same.standardized(torch.tensor([5.0])).tolist() == [0.0]


def test_own_words_and_their_returns():
    texts = [
        "YOU: i want <eos> THEM: deal <eos> YOU: ok deal ? <eos> THEM: <selection>",
        "THEM: i want <eos> YOU: <selection>",
    ]
    said = Utterances.of(texts, tuple(WORDS))
    own = own_words(said.ids, said.lengths, tuple(WORDS))
    found = [
        [word for word, mine in zip(text.split(), row, strict=False) if mine]
        for text, row in zip(texts, own.tolist(), strict=True)
    ]
    assert found == [["i", "want", "<eos>", "ok", "deal", "?", "<eos>"], ["<selection>"]]
    discounted = returns(own, torch.tensor([2.0, -1.0]), 0.5)
    assert discounted[0][own[0]].tolist() == [2.0 * 0.5**k for k in (6, 5, 4, 3, 2, 1, 0)]
    assert discounted[1][own[1]].tolist() == [-1.0] and not discounted[~own].any()


def test_the_gradient_is_that_of_the_formula():
    """Eq. (11), a dialogue and a word at a time."""
    agent, partner = tiny_agent(0, temperature=0.7), tiny_agent(1, temperature=2.0)
    batch = [Table(i, scenario) for i, scenario in enumerate(all_scenarios()[::900])]
    played = play((agent, partner), batch, seed=0)
    talk, rewards = played.talks[0], torch.linspace(-1, 2, len(batch), dtype=torch.float64)
    own = own_words(talk.words, talk.lengths, agent.vocabulary)
    loss = policy_loss(agent, agent, talk, own, rewards, 0.9)
    found = torch.autograd.grad(loss, list(agent.parameters()), allow_unused=True)
    expected = torch.zeros((), dtype=torch.float64)
    unsaid = [WORDS.index(word) for word in ("<unk>", "<pad>", YOU, "THEM:")]
    for row in range(len(batch)):
        words = talk.words[row, : talk.lengths[row]]
        logits = agent(
            words[None], torch.tensor([len(words)]), talk.counts[row : row + 1], talk.values[row : row + 1]
        ).logits[0]
        mine = own[row].nonzero()[:, 0].tolist()
        for k, place in enumerate(mine):
            speech = logits[place - 1] / 0.7
            speech[unsaid] = -math.inf
            log_p = speech.log_softmax(0)[words[place]]
            expected = expected - log_p * rewards[row] * 0.9 ** (len(mine) - 1 - k) / len(batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
    for one, other in zip(
        found, torch.autograd.grad(expected, list(agent.parameters()), allow_unused=True), strict=True
    ):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-10)
    assert agent.heads.weight.grad is None, "the decision isn't touched"


def test_presets():
    assert settled(ReinforceConfig()).rl_batch_size == 32
    paper = settled(ReinforceConfig(preset="paper", rl_dialogues=7))
    assert (paper.rl_batch_size, paper.rl_learning_rate, paper.supervised_every, paper.rl_dialogues) == (1, 0.1, 4, 7)


def training(folder, agent, **changed):
    defaults = {"rl_dialogues": 48, "rl_batch_size": 8, "validate_every": 16, "validation_dialogues": 10}
    views = Views(agent.vocabulary, corpus("test")[:40])
    return Reinforcement(
        agent,
        tiny_agent(1).float(),
        ReinforceConfig(**(defaults | changed)),
        accelerator=Accelerator(cpu=True),
        views=views,
        scenarios=all_scenarios()[:20],
        validation=all_scenarios()[50:53],
        seed=5,
    )


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path):
    class Interrupted(Exception):
        pass

    def weights(folder):
        state = torch.load(folder / "checkpoint-6" / "optimizer.bin", weights_only=True)
        return [values for group in state["state"].values() for values in group.values()]

    told = []
    whole = training(tmp_path, tiny_agent(0).float())
    (tmp_path / "whole").mkdir()
    whole.run(tmp_path / "whole", told.append)

    def stop(when):
        def on_step(values):
            seen.append(values)
            if len(seen) == when:
                raise Interrupted

        return on_step

    (tmp_path / "cut").mkdir()
    for when in (6, 3, 1000):
        seen = []
        cut = training(tmp_path, tiny_agent(0).float())
        try:
            cut.run(tmp_path / "cut", stop(when))
        except Interrupted:
            continue
    assert cut.rewards == whole.rewards and whole.progress.step == 6
    assert replace(cut.progress, cpu_seconds=0.0) == replace(whole.progress, cpu_seconds=0.0)
    assert 0 < whole.progress.cpu_seconds < 60
    pairs = zip(cut.agent.parameters(), whole.agent.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert all(torch.equal(a, b) for a, b in zip(weights(tmp_path / "cut"), weights(tmp_path / "whole"), strict=True))
    best = [(tmp_path / name / "best" / "model.safetensors").read_bytes() for name in ("cut", "whole")]
    assert best[0] == best[1]
    scores = [one["validation_reward"] for one in told if "validation_reward" in one]
    assert len(scores) == 4 and whole.progress.best == max(scores)


def test_a_word_that_pays_is_learnt(tmp_path):
    """A reward for every 'book' in place of points: a policy that the gradient must find."""
    agent, partner = (tiny_agent(seed, temperature=1.0, max_words=5) for seed in (0, 1))
    optimizer = torch.optim.Adam(agent.parameters(), lr=0.02)
    shares, rewards = [], Rewards()
    for step in range(30):
        batch = [Table(100 * step + i, scenario) for i, scenario in enumerate(all_scenarios()[:48])]
        talk = play((agent, partner), batch, seed=0).talks[0]
        own = own_words(talk.words, talk.lengths, agent.vocabulary)
        books = ((talk.words == WORDS.index("book")) & own).sum(1) / own.sum(1).clamp(min=1)
        shares.append(float(books.mean()))
        rewards.add(books.tolist())
        optimizer.zero_grad()
        policy_loss(agent, agent, talk, own, rewards.standardized(books.double()), 0.95).backward()
        optimizer.step()
    assert statistics.fmean(shares[-5:]) > 3 * statistics.fmean(shares[:3])
