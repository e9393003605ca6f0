"""DDN (Rony et al., CVPR 2019, arXiv:1811.09600, Algorithm 1): the direction and the norm of a perturbation, decoupled.

Each step goes along the gradient; then the perturbation is rescaled to a norm that shrinks where the last one succeeded
and grows where it didn't.

Deviations: images aren't quantized.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.distances import size, steepest, wide
from visionadv.losses import cross_entropy
from visionadv.oracles import GradientOracle


@dataclass(frozen=True)
class Ddn:
    """`gamma` is the share by which the norm changes, which starts as `start`; the step falls from 1 to `last_step`."""

    steps: int = 300
    gamma: float = 0.05
    start: float = 1.0
    last_step: float = 0.01

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("l2",)
    eps: ClassVar = None

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        rows = oracle.left()
        originals = oracle.images[rows]
        delta = torch.zeros_like(originals)
        norm = torch.full_like(oracle.distance[rows], self.start)
        for number in range(self.steps):
            _, slopes, logits = oracle.gradient(originals + delta, rows, cross_entropy)
            left = oracle.open[rows]
            rows, originals, delta, norm = rows[left], originals[left], delta[left], norm[left]
            slopes, logits = slopes[left], logits[left]
            if len(rows) == 0:
                return
            step = self.last_step + (1 - self.last_step) * (1 + math.cos(math.pi * number / self.steps)) / 2
            delta = delta + step * steepest(slopes, "l2")
            reached = oracle.goal.reached(logits.argmax(1), rows)
            norm = norm * (1 + self.gamma - 2 * self.gamma * reached.to(norm.dtype))
            length = size(delta, "l2")
            scale = torch.where(length > 0, norm / length, 0.0)  # a gradient of 0 leads nowhere
            delta = (originals + wide(scale, delta) * delta).clamp(0, 1) - originals
        oracle.logits(originals + delta, rows)
