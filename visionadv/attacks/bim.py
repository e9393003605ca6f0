"""BIM, I-FGSM (Kurakin, Goodfellow, Bengio, arXiv:1607.02533, section 2.2): FGSM in small steps, clipped each time.

That is PGD from the unchanged image. The paper takes steps of 1/255 and min(255 eps + 4, 1.25 * 255 eps) of them.

Deviations: for other norms, of which the paper doesn't speak, 20 steps of a tenth of eps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from visionadv.attacks.pgd import ascend
from visionadv.losses import Loss, cross_entropy
from visionadv.oracles import GradientOracle


def paper_steps(eps: float, norm: str) -> tuple[int, float]:
    """How many steps are taken, and of which size, in units of eps."""
    if norm != "linf" or eps == 0:
        return 20, 0.1
    return max(1, int(min(255 * eps + 4, 1.25 * 255 * eps))), 1 / 255 / eps


@dataclass(frozen=True)
class Bim:
    """`steps` of `step_size`, in units of eps; 0 for what the paper takes, of either."""

    steps: int = 0
    step_size: float = 0.0

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("linf", "l2", "l1")
    eps: ClassVar = 0.3

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        rows = oracle.left()
        steps, size = paper_steps(oracle.limit, oracle.norm)
        how = {"steps": self.steps or steps, "step_size": self.step_size or size}
        images, rows = ascend(oracle, oracle.images[rows], rows, self.loss(oracle), **how)
        oracle.logits(images, rows)

    def loss(self, oracle: GradientOracle) -> Loss:
        """What is ascended."""
        return cross_entropy
