"""Agents by name."""

import pytest
from negotiators import tiny_agent

from dialogue.agent import NegotiationAgent
from dialogue.configs import BadInput
from dialogue.loading import load_agent, load_negotiator
from textadv.data import EMBEDDED_VICTIM


def test_a_folder_and_its_mistakes(tmp_path):
    tiny_agent().float().save_pretrained(tmp_path / "agent")
    for load in (load_agent, load_negotiator):
        found = load(str(tmp_path / "agent"))
        assert isinstance(found, NegotiationAgent) and not found.training
        with pytest.raises(BadInput, match="no negotiation agent that can be loaded"):
            load(str(tmp_path / "nowhere"))
        with pytest.raises(BadInput, match="is a marian and no negotiation agent"):
            load(str(EMBEDDED_VICTIM))


def test_a_name_of_an_embedded_agent_may_be_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_agent().float().save_pretrained(tmp_path / "rl")
    assert load_agent("rl").config.hidden_size == 8
