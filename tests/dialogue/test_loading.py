"""Agents by name."""

import pytest
from negotiators import tiny_agent

from dialogue.agent import NegotiationAgent
from dialogue.configs import BadInput
from dialogue.loading import EMBEDDED, load_agent, load_negotiator
from dialogue.simulator import DIALOGUES, corpus
from dialogue.types import MARKS
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


def test_the_embedded_agents_hold_the_simulators_words_only():
    words = {word for split in DIALOGUES for dialogue in corpus(split) for word in dialogue.words}
    for name in EMBEDDED.values():
        agent = load_agent(name)
        assert set(MARKS) < set(agent.vocabulary) <= words | set(MARKS)
        assert isinstance(load_negotiator(name), NegotiationAgent)
