"""Bilateral adversarial training (Wang and Zhang, ICCV 2019, arXiv:1811.10716, section 3): image and label perturbed.

x~ is one step of an attack from a random start, and y~ = (1 - alpha) y + alpha v, where v spreads over the other
classes as their loss asks: proportional to how far -log p_k lies above the least of them, so that the unlikeliest class
gains most. alpha is 1 / (1 + ratio / (K - 1)): the label keeps `ratio` times what the others have in the mean.

Deviations: the attack is untargeted, as in Table 5.1 of Cheng's dissertation; the authors also aim at the most
confusing class.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from visionadv.configs import BadInput
from visionadv.training.inner import ascend, check_attack, cross_entropy, evaluating, random_start
from visionadv.training.label_smoothing import one_hot
from visionadv.training.vicinity import Batch, Vicinity

LEAST = 0.01  # added to every class's share before they are normalised


class Bilateral(Vicinity):
    """`ratio` is the paper's beta, 9; `steps` is one or two; `step_size` is in units of eps."""

    own_gradients = True

    def __init__(self, *, eps: float = 8 / 255, steps: int = 1, step_size: float = 1.0, ratio: float = 9.0) -> None:
        super().__init__()
        check_attack(eps, steps, step_size)
        if ratio < 0:
            raise BadInput(f"ratio must be at least 0, not {ratio}")
        self.eps, self.steps, self.step_size, self.ratio = eps, steps, step_size, ratio

    def inputs(self, model: Any, batch: Batch) -> Tensor:
        how = {"radius": self.eps, "steps": self.steps, "step_size": self.step_size}
        start = random_start(batch, self.eps)
        return ascend(model, batch.images, cross_entropy(batch.labels), start=start, **how)

    @torch.no_grad()
    def targets(self, model: Any, batch: Batch) -> Tensor:
        with evaluating(model) as asked:
            losses = -asked(batch.images).log_softmax(1)  # (B, K) the slope of the loss in the label
        label = batch.labels[:, None]
        lowest = losses.scatter(1, label, torch.inf).amin(1, keepdim=True)
        other = (losses - lowest + LEAST).scatter(1, label, 0.0)
        alpha = 1 / (1 + self.ratio / (self.classes - 1))
        return (1 - alpha) * one_hot(batch.labels, self.classes, losses) + alpha * other / other.sum(1, keepdim=True)
