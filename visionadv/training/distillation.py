"""Defensive distillation (Papernot et al., S&P 2016, arXiv:1511.04508, section IV): a net learns another's softness.

First a teacher is trained naturally, but for a softmax of logits over a temperature; then a net of the same kind learns
the teacher's probabilities at that temperature. At test time the temperature is 1, so that the logits are large.
Without a teacher it is the first of the two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.training.vicinity import Batch, Vicinity


class Distillation(Vicinity):
    """`temperature` is the paper's for MNIST, 20.

    Args:
        teacher: a net that was trained at this temperature; none makes one.
    """

    def __init__(self, *, temperature: float = 20.0, teacher: Any = None) -> None:
        super().__init__()
        if temperature <= 0:
            raise BadInput(f"temperature must be above 0, not {temperature}")
        self.temperature = temperature
        self._teacher = [teacher.eval()] if teacher is not None else []  # a list hides it: it is no state

    def begin(self, model: Any, *, count: int, classes: int, shape: tuple[int, ...]) -> None:
        super().begin(model, count=count, classes=classes, shape=shape)
        for teacher in self._teacher:
            if (teacher.shape, teacher.classes) != (shape[1:], classes):
                raise BadInput(f"the teacher takes images of {teacher.shape} and knows {teacher.classes} classes")

    @torch.no_grad()
    def targets(self, model: Any, batch: Batch) -> Tensor:
        for teacher in self._teacher:
            return (teacher.to(batch.images)(batch.images) / self.temperature).softmax(1)
        return batch.labels

    def loss(self, model: Any, batch: Batch) -> Tensor:
        logits = model(self.inputs(model, batch)) / self.temperature
        return nn.functional.cross_entropy(logits, self.targets(model, batch))
