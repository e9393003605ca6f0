"""Batch normalisation alone is trained further (Cheng's dissertation, section 6.2.1, Tables 6.1 and 6.2).

All other weights of a trained net stay as they are. With eps = 0 it is natural training, which makes a robust net
accurate; with a distance it is adversarial training, which makes an accurate net robust.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from visionadv.training.adversarial import Adversarial
from visionadv.training.norms import norms_of
from visionadv.training.vicinity import Batch


class BnFinetune(Adversarial):
    """`steps` and `step_size` (in units of eps) are those of section 6.4; eps is 0 unless it is given."""

    def __init__(self, *, eps: float = 0.0, steps: int = 7, step_size: float = 0.2) -> None:
        super().__init__(eps=eps, steps=steps, step_size=step_size)

    def begin(self, model: Any, *, count: int, classes: int, shape: tuple[int, ...]) -> None:
        super().begin(model, count=count, classes=classes, shape=shape)
        learnt = [layer for _, layer in norms_of(model)]
        model.requires_grad_(False)
        for layer in learnt:
            layer.requires_grad_(True)

    def inputs(self, model: Any, batch: Batch) -> Tensor:
        return super().inputs(model, batch) if self.eps else batch.images
