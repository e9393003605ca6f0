"""The iterative least-likely class method (Kurakin, Goodfellow, Bengio, arXiv:1607.02533, section 2.3).

BIM towards the class that the unchanged image is the least like. Any success of the goal counts, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.bim import paper_steps
from visionadv.attacks.pgd import ascend
from visionadv.goals import Goal
from visionadv.losses import cross_entropy
from visionadv.oracles import GradientOracle


@dataclass(frozen=True)
class LeastLikely:
    """`steps` of `step_size`, in units of eps; 0 for what the paper takes."""

    steps: int = 0
    step_size: float = 0.1

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("linf", "l2", "l1")
    eps: ClassVar = 0.3

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        towards = Goal(torch.full_like(oracle.goal.labels, -1), oracle.clean.argmin(1))

        def loss(logits: Tensor, goal: Goal, rows: Tensor) -> Tensor:
            return cross_entropy(logits, towards, rows)

        rows = oracle.left()
        steps, size = (self.steps, self.step_size) if self.steps else paper_steps(oracle.limit, oracle.norm)
        images, rows = ascend(oracle, oracle.images[rows], rows, loss, steps=steps, step_size=size)
        oracle.logits(images, rows)
