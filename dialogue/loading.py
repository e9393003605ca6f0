"""Agents by name: the embedded ones, folders, the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from dialogue.agent import NegotiationAgent, NegotiationConfig
from dialogue.chat_agent import ChatAgent
from dialogue.configs import BadInput

EMBEDDED = Path(__file__).parent / "embedded"  # made by scripts/train_negotiator.py
NAMES = ("sv", "rl")  # of the embedded agents


def load_agent(name: str | None) -> NegotiationAgent:
    """A `NegotiationAgent` by Hub id or folder; "sv" (None is that) and "rl" are the embedded ones.

    Raises:
        BadInput: nothing there, no network, or another model.
    """
    config = _config(name)
    if not isinstance(config, NegotiationConfig):
        raise BadInput(
            f"{name} is a {config.model_type} and no negotiation agent; scripts/train_negotiator.py makes one"
        )
    return _loaded(lambda: NegotiationAgent.from_pretrained(_place(name), dtype=torch.float32).eval(), name)


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
    model = _loaded(lambda: AutoModelForCausalLM.from_pretrained(_place(name), dtype="auto"), name)
    return ChatAgent(model, _loaded(lambda: AutoTokenizer.from_pretrained(_place(name)), name))


def _place(name: str | None) -> str:
    """Where it is: a folder called as an embedded agent comes first."""
    name = name or "sv"
    return str(EMBEDDED / name) if name in NAMES and not Path(name).exists() else name


def _config(name: str | None) -> Any:
    return _loaded(lambda: AutoConfig.from_pretrained(_place(name)), name)


def _loaded(load: Any, name: str | None) -> Any:
    try:
        return load()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{name} has no negotiation agent that can be loaded; give a folder of scripts/train_negotiator.py, or a "
            "Hub id and a network"
        ) from error
