"""The SV agent's training: where it drops what, what is kept, and how sure it is of its words."""

import copy

import pytest
import torch

from dialogue.configs import SupervisedConfig
from dialogue.simulator import corpus
from dialogue.supervised import Views, build, calibrate, collate, validate

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


def test_calibration_finds_the_scale_of_the_least_loss():
    """Whatever its logits were scaled by before; and the decision is as it was."""
    torch.manual_seed(0)
    agent = build(SupervisedConfig(**SIZES), corpus("train")[:20])
    views = Views(agent.vocabulary, corpus("validation")[:30])
    optimizer = torch.optim.Adam(agent.parameters(), 0.03)
    for _ in range(30):  # until it is sure of something
        optimizer.zero_grad()
        agent(**collate(views.rows)).loss.backward()
        optimizer.step()
    scaled = copy.deepcopy(agent)
    with torch.no_grad():
        for values in scaled.output.parameters():
            values.mul_(1.25)
    before = validate(agent, views)
    scale = calibrate(agent, views)
    assert scale == pytest.approx(1.25 * calibrate(scaled, views), abs=5e-3)
    after = validate(agent, views)
    assert after["word_loss"] < before["word_loss"] and after["selection_loss"] == before["selection_loss"]
    for factor in (0.98, 1.02):
        beside = copy.deepcopy(agent)
        with torch.no_grad():
            for values in beside.output.parameters():
                values.mul_(factor)
        assert validate(beside, views)["word_loss"] > after["word_loss"]
