"""Free adversarial training (Shafahi et al., NeurIPS 2019, arXiv:1904.12843, Algorithm 1).

Every batch is replayed m times. One backward pass gives both gradients: the weights descend by theirs, and the
perturbation ascends by the sign of its own. It is kept from replay to replay and from batch to batch.

With `carried=false` each batch begins at no perturbation. Then m = 1 is natural training, and of m = 2 the second step
is trained on FGSM's images, made for the weights of one step before.

Deviations: an epoch shows every batch m times, so that it takes as many steps as m epochs of natural training; with
several processes each has a perturbation of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from visionadv.configs import BadInput
from visionadv.training.inner import check_attack
from visionadv.training.vicinity import Batch, Vicinity


class Free(Vicinity):
    """`replays` (m) is the paper's for CIFAR-10, 8."""

    own_gradients = True
    delta: Tensor

    def __init__(self, *, eps: float = 8 / 255, replays: int = 8, carried: bool = True) -> None:
        super().__init__()
        check_attack(eps, 1, 1.0)
        if replays < 1:
            raise BadInput(f"replays must be at least 1, not {replays}")
        self.eps, self.repeats, self.carried = eps, replays, carried
        self._leaf: Tensor | None = None

    def begin(self, model: Any, *, count: int, classes: int, shape: tuple[int, ...]) -> None:
        super().begin(model, count=count, classes=classes, shape=shape)
        self.register_buffer("delta", torch.zeros(shape, dtype=next(model.parameters()).dtype))

    def inputs(self, model: Any, batch: Batch) -> Tensor:
        if batch.repeat == 0 and not self.carried:
            self.delta.zero_()
        # The gradient is that of the clipped image: black pixels, which clipping would cut off from it, have one.
        self._leaf = (batch.images + self.delta).clamp(0, 1).requires_grad_()
        return self._leaf

    @torch.no_grad()
    def after(self, model: Any, batch: Batch) -> None:
        assert self._leaf is not None and self._leaf.grad is not None
        self.delta.add_(self.eps * self._leaf.grad.sign()).clamp_(-self.eps, self.eps)
