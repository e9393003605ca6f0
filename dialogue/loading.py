"""Agents by name: folders and the Hub."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from dialogue.agent import NegotiationAgent, NegotiationConfig
from dialogue.chat_agent import ChatAgent
from dialogue.configs import BadInput


def load_agent(name: str | None) -> NegotiationAgent:
    """A `NegotiationAgent` by Hub id or folder.

    Raises:
        BadInput: no name, nothing there, no network, or another model.
    """
    config = _config(name)
    if not isinstance(config, NegotiationConfig):
        raise BadInput(
            f"{name} is a {config.model_type} and no negotiation agent; scripts/train_negotiator.py makes one"
        )
    return _loaded(NegotiationAgent, config.name_or_path, dtype=torch.float32).eval()


def load_negotiator(name: str | None) -> NegotiationAgent | ChatAgent:
    """Whoever can sit at a table: a `NegotiationAgent`, or any causal language model with a chat template.

    Raises:
        BadInput: as `load_agent`; a model that is neither.
    """
    config = _config(name)
    if isinstance(config, NegotiationConfig):
        return load_agent(name)
    if config.is_encoder_decoder:
        raise BadInput(f"{name} is a {config.model_type} and no negotiation agent, nor a chat model; give either")
    model = _loaded(AutoModelForCausalLM, config.name_or_path, dtype="auto")
    return ChatAgent(model, _loaded(AutoTokenizer, config.name_or_path))


def _config(name: str | None) -> Any:
    if name is None:
        raise BadInput("which agent? give --model_name_or_path; scripts/train_negotiator.py makes one in minutes")
    return _loaded(AutoConfig, name)


def _loaded(kind: Any, name: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{name} has no negotiation agent that can be loaded; give a folder of scripts/train_negotiator.py, or a "
            "Hub id and a network"
        ) from error
