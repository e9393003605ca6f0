"""TRADES (Zhang et al., ICML 2019, arXiv:1901.08573, (3) and Algorithm 1).

The loss is the natural one, and `beta` (their 1 / lambda) times the divergence KL(f(x) || f(x~)), where x~ ascends that
divergence from the image and a little noise. In Table 5.1 of Cheng's dissertation it is a smoothed label,
(1 - alpha) y + alpha f(x~).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.noise import normal
from visionadv.training.inner import START, Loss, ascend, check_attack, evaluating
from visionadv.training.vicinity import Batch, Vicinity

FIRST = 1e-3  # standard deviation of the noise that the ascent begins with


def divergence(logits: Tensor) -> Loss:
    """(B,) KL(p || q), of the distribution p of logits (B, K), as a function of the logits of q."""
    known = logits.log_softmax(1)
    return lambda others: (known.exp() * (known - others.log_softmax(1))).sum(1)


class Trades(Vicinity):
    """`beta` is the paper's, 6; `eps` and `steps` are those of the dissertation; `step_size` is in units of eps."""

    own_gradients = True

    def __init__(self, *, eps: float = 8 / 255, steps: int = 10, step_size: float = 0.25, beta: float = 6.0) -> None:
        super().__init__()
        check_attack(eps, steps, step_size)
        if beta < 0:
            raise BadInput(f"beta must be at least 0, not {beta}")
        self.eps, self.steps, self.step_size, self.beta = eps, steps, step_size, beta

    def inputs(self, model: Any, batch: Batch) -> Tensor:
        images = batch.images
        with evaluating(model) as asked, torch.no_grad():
            clean = asked(images)
        start = FIRST * normal(batch.seeds + START, batch.step, images.shape[1:], dtype=images.dtype)
        how = {"radius": self.eps, "steps": self.steps, "step_size": self.step_size, "start": start}
        return ascend(model, images, divergence(clean), **how)

    def loss(self, model: Any, batch: Batch) -> Tensor:
        inputs = self.inputs(model, batch) if self.beta else None
        logits = model(batch.images)
        natural = nn.functional.cross_entropy(logits, batch.labels)
        return natural if inputs is None else natural + self.beta * divergence(logits)(model(inputs)).mean()
