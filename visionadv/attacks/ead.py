"""EAD, the elastic-net attack (Chen, Sharma, Zhang, Yi, Hsieh, AAAI 2018, arXiv:1709.04114, (7) and Algorithm 1).

    minimize c max(-f(x'), -kappa) + |x' - x|_2^2 + beta |x' - x|_1   within the cube,

by FISTA: a gradient step on all but the L1 distance, from a point y that runs ahead of the image with a momentum of
k / (k + 3); then every value that is within beta of the original returns to it, and the rest come nearer by beta (8).
So few values change. f is the margin, and c is looked for as by Carlini and Wagner.

The paper keeps the success of the smallest elastic-net distance (EN) or of the smallest L1 distance (L1). Here the
oracle's norm decides among the same successes: L1 is the paper's second rule, and L2 takes the place of the first.

Deviations: 1,000 steps, as in the paper's experiments, where the authors' file has 10,000. y is clipped for the victim.
An image whose loss has stopped to fall ends its round alone. As in the authors' code, values shrink by beta in each
step, whatever its size; so the L1 distance weighs beta over the step size, a hundred times as much as (7) says and
more as the steps get smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.carlini_wagner_l2 import search_constant
from visionadv.distances import wide
from visionadv.losses import margin_up_to
from visionadv.oracles import GradientOracle


@dataclass(frozen=True)
class Ead:
    """`beta` is the weight of L1; the step falls from `step_size` to 0 as a square root; else as `CarliniWagnerL2`."""

    binary_steps: int = 9
    steps: int = 1000
    step_size: float = 0.01
    beta: float = 1e-3
    constant: float = 1e-3
    confidence: float = 0.0
    abort_early: bool = True

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("l1", "l2")
    eps: ClassVar = None

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        oracle.confidence = self.confidence
        search_constant(oracle, self._round, self.constant, self.binary_steps)

    def _round(self, oracle: GradientOracle, rows: Tensor, constant: Tensor) -> Tensor:
        """(B,) where a round of FISTA succeeds: two queries a step, one for the gradient at y, one for the image."""
        reached = torch.zeros_like(oracle.closed)
        originals = oracle.images[rows]
        images, ahead = originals, originals
        before = torch.full_like(oracle.distance[rows], torch.inf)
        every = max(1, self.steps // 10)

        for number in range(1, self.steps + 1):
            _, slopes, _ = oracle.gradient(ahead, rows, margin_up_to(self.confidence))
            step = self.step_size * (1 - (number - 1) / self.steps) ** 0.5
            weight = wide(constant[rows], slopes)
            stepped = shrink(ahead - step * (2 * (ahead - originals) - weight * slopes), originals, self.beta)
            ahead = stepped + number / (number + 3) * (stepped - images)
            images = stepped
            logits = oracle.logits(images, rows)
            margin = oracle.goal.margin(logits, rows)
            reached[rows] |= oracle.succeeds(logits, rows)
            left = oracle.open[rows]
            if self.abort_early and number % every == 0:
                delta = (images - originals).flatten(1)
                loss = delta.square().sum(1) + self.beta * delta.abs().sum(1)
                loss = loss - constant[rows] * margin.clamp(max=self.confidence)
                left &= loss <= 0.9999 * before
                before = torch.minimum(before, loss)
            if not left.all():
                rows, originals, before = rows[left], originals[left], before[left]
                images, ahead = images[left], ahead[left]
            if len(rows) == 0:
                break
        return reached


def shrink(images: Tensor, originals: Tensor, beta: float) -> Tensor:
    """Images whose differences to the originals are made smaller by beta, down to none; in [0, 1]."""
    delta = images - originals
    return (originals + delta.sign() * (delta.abs() - beta).clamp(min=0)).clamp(0, 1)
