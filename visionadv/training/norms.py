"""Batch normalisation in layers that are found, exchanged and mixed; chapter 6 of Cheng's dissertation.

A masking is what batch normalisation does to a net whose other weights stay the same: its weights and biases, and the
running statistics that go with them.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from visionadv.configs import BadInput


def norms_of(model: Any) -> list[tuple[str, Any]]:
    """The layers of batch normalisation, with their names. Raises BadInput if there are none."""
    found = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, _BatchNorm)]
    if not found:
        name = getattr(model, "architecture", type(model).__name__)
        raise BadInput(f"a {name} has no batch normalisation to learn; cnn7_batch_norm and resnet have some")
    return found


def exchange(model: Any, kind: type | tuple[type, ...], make: Callable[[Any], nn.Module]) -> None:
    """Puts `make(layer)` in the place of every layer of a kind."""
    places = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, kind)
    ]
    for parent, name, layer in places:
        setattr(parent, name, make(layer))


@torch.no_grad()
def blended(model: Any, other: Any, p: float) -> Any:
    """A net with p of the first one's masking, and 1 - p of the other's: (6.2), and Table 6.2.

    Deviations: running means and variances are mixed, too; (6.2) speaks of weights and biases alone, and doesn't say
    whose statistics go with them.

    Raises:
        BadInput: the nets differ in other weights, or have no batch normalisation; or p isn't from 0 to 1.
    """
    if not 0 <= p <= 1:
        raise BadInput(f"p must be from 0 to 1, not {p}")
    found, names = deepcopy(model), [name for name, _ in norms_of(model)]
    first, second, mixed = model.state_dict(), other.state_dict(), {}
    if {name: one.shape for name, one in first.items()} != {name: one.shape for name, one in second.items()}:
        raise BadInput(
            "the two are not nets of one kind; give a net and what fine-tuning of its normalisation made of it"
        )
    for name, values in first.items():
        if name.rpartition(".")[0] in names:
            mixed[name] = p * values + (1 - p) * second[name] if values.is_floating_point() else values
        elif torch.equal(values, second[name]):
            mixed[name] = values
        else:
            raise BadInput(f"the two differ in {name}, which is no normalisation; only that was to be fine-tuned")
    found.load_state_dict(mixed)
    return found
