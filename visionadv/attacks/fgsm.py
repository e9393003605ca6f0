"""FGSM (Goodfellow, Shlens, Szegedy, ICLR 2015, arXiv:1412.6572, section 4): one step along the sign of the gradient.

With a target it is the one-step target class method of Kurakin, Goodfellow and Bengio (arXiv:1611.01236, section 2).
Where no distance is given the step grows until it succeeds: the smallest of `sizes` steps up to the whole range.

Deviations: for L2 and L1 the step is the steepest of that norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from visionadv.distances import steepest
from visionadv.losses import cross_entropy
from visionadv.oracles import GradientOracle


@dataclass(frozen=True)
class Fgsm:
    """`sizes` of the steps that are tried where no distance is given."""

    sizes: int = 1000

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("linf", "l2", "l1")
    eps: ClassVar = None
    either: ClassVar = True  # with an eps it is an attack within a distance

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        rows = oracle.left()
        images = oracle.images[rows]
        _, slopes, _ = oracle.gradient(images, rows, cross_entropy)
        steps = steepest(slopes, oracle.norm)
        if oracle.eps is not None:
            oracle.logits(images + oracle.limit * steps, rows)
            return
        largest = images[0].numel() ** {"linf": 0.0, "l2": 0.5, "l1": 1.0}[oracle.norm]  # of a step across the cube
        for number in range(1, self.sizes + 1):
            oracle.logits(images + largest * number / self.sizes * steps, rows)
            oracle.close(rows[oracle.found[rows]])
            left = oracle.open[rows]
            if not left.any():
                return
            rows, images, steps = rows[left], images[left], steps[left]
