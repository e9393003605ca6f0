"""The iterative least-likely class method (Kurakin, Goodfellow, Bengio, arXiv:1607.02533, section 2.3).

BIM towards the class that the unchanged image is the least like, or towards the goal's own, if it has one. Any success
of the goal counts, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from visionadv.attacks.bim import Bim
from visionadv.goals import Goal
from visionadv.losses import Loss, cross_entropy
from visionadv.oracles import GradientOracle


@dataclass(frozen=True)
class LeastLikely(Bim):
    """The steps are those of `Bim`."""

    def loss(self, oracle: GradientOracle) -> Loss:
        if oracle.goal.targets is not None:
            return cross_entropy
        towards = Goal(torch.full_like(oracle.goal.labels, -1), oracle.clean.argmin(1))

        def likelihood(logits: Tensor, goal: Goal, rows: Tensor) -> Tensor:
            return cross_entropy(logits, towards, rows)

        return likelihood
