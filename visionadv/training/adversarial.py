"""Adversarial training (Madry et al., ICLR 2018, arXiv:1706.06083, (2.1); (4.1) of Cheng's dissertation).

x~ = PGD_eps(x), y~ = y. One step of the whole distance without a random start is FGSM training (Goodfellow et al., ICLR
2015): `steps=1 step_size=1 random_start=false`; with the loss "margin" it is trained against Carlini and Wagner's.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from visionadv.configs import BadInput
from visionadv.training.inner import ascend, check_attack, cross_entropy, margin, random_start
from visionadv.training.vicinity import Batch, Vicinity

LOSSES = {"cross_entropy": cross_entropy, "margin": margin}


class Adversarial(Vicinity):
    """`eps` and `steps` are those of the dissertation (section 4.2.4.1); `step_size` is in units of eps."""

    own_gradients = True

    def __init__(
        self,
        *,
        eps: float = 8 / 255,
        steps: int = 10,
        step_size: float = 0.25,
        norm: str = "linf",
        loss: str = "cross_entropy",
        random_start: bool = True,
    ) -> None:
        super().__init__()
        check_attack(eps, steps, step_size, norm)
        if loss not in LOSSES:
            raise BadInput(f"the inner attack ascends {' or '.join(LOSSES)}, and not {loss}")
        self.eps, self.steps, self.step_size, self.norm = eps, steps, step_size, norm
        self.ascended, self.random_start = LOSSES[loss], random_start

    def inputs(self, model: Any, batch: Batch) -> Tensor:
        return ascend(
            model,
            batch.images,
            self.ascended(batch.labels),
            radius=self.eps,
            steps=self.steps,
            step_size=self.step_size,
            norm=self.norm,
            start=random_start(batch, self.eps, self.norm) if self.random_start else None,
        )
