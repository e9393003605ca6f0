"""Agents by name: folders and the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from dialogue.agent import NegotiationAgent, NegotiationConfig
from dialogue.chat_agent import ChatAgent
from dialogue.configs import BadInput

# The agents of this package, by the stage that made them; both know the simulator's dialogues only.
STAGES = ("supervised", "reinforce", "attack")
EMBEDDED = {stage: str(Path(__file__).parent / "embedded" / stage) for stage in STAGES}


def load_agent(name: str) -> NegotiationAgent:
    """A `NegotiationAgent` by Hub id or folder.

    Raises:
        BadInput: nothing there, no network, or another model.
    """
    config = _loaded(AutoConfig, name)
    if not isinstance(config, NegotiationConfig):
        raise BadInput(
            f"{name} is a {config.model_type} and no negotiation agent; scripts/train_negotiator.py makes one"
        )
    return _loaded(NegotiationAgent, name, dtype=torch.float32).eval()


def load_negotiator(name: str) -> NegotiationAgent | ChatAgent:
    """Whoever can sit at a table: a `NegotiationAgent`, or any causal language model with a chat template.

    Raises:
        BadInput: as `load_agent`; a model that is neither.
    """
    config = _loaded(AutoConfig, name)
    if isinstance(config, NegotiationConfig):
        return load_agent(name)
    if config.is_encoder_decoder:
        raise BadInput(f"{name} is a {config.model_type} and no negotiation agent, nor a chat model; give either")
    model = _loaded(AutoModelForCausalLM, name, dtype="auto")
    return ChatAgent(model, _loaded(AutoTokenizer, name))


def _loaded(kind: Any, name: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{name} has no negotiation agent that can be loaded; give a folder of scripts/train_negotiator.py, or a "
            "Hub id and a network"
        ) from error
