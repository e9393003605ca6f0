"""The SV agent's training: where it drops what, and what is kept."""

import pytest
import torch

from dialogue.configs import SupervisedConfig
from dialogue.simulator import corpus
from dialogue.supervised import Views, build, validate

SIZES = {"embedding_size": 8, "context_size": 4, "hidden_size": 8, "selection_size": 8, "rarest": 0}


def test_what_is_kept_is_judged_by_words_and_decision_together():
    torch.manual_seed(0)
    agent = build(SupervisedConfig(**SIZES, selection_weight=0.25), corpus("train")[:20])
    found = validate(agent, Views(agent.vocabulary, corpus("validation")[:30]))
    assert found["loss"] == pytest.approx(found["word_loss"] + 0.25 * found["selection_loss"])
    assert 0 <= found["exact_selection"] <= 1


def test_every_dropout_has_its_place():
    """The decision's, that of what the speaking GRU reads, and that of what words come of: none unless asked for."""
    torch.manual_seed(0)
    agent = build(SupervisedConfig(**SIZES, dropout=0.5, word_dropout=0.25, output_dropout=0.0), corpus("train")[:20])
    assert (agent.dropout.p, agent.word_dropout.p, agent.output_dropout.p) == (0.5, 0.25, 0.0)
    states = torch.rand(3, 4, 8)
    agent.train()
    assert torch.equal(agent.word_logits(states), agent.word_logits(states))
    agent.output_dropout.p = 0.5
    assert not torch.equal(agent.word_logits(states), agent.word_logits(states))
