"""Stability training (Zheng et al., CVPR 2016, arXiv:1604.04326, (3) and section 3.3).

The loss is the natural one, and `weight` times the cross-entropy of what the model says of the image and of a noisy
copy: in Table 5.1 of Cheng's dissertation, g = f(x) o f(x~).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.training.gaussian import noisy
from visionadv.training.vicinity import Batch, Vicinity


class Stable(Vicinity):
    """`weight` (alpha) and `sigma` are those of the paper's classification experiments: 0.01, and 0.04 of the range."""

    def __init__(self, *, weight: float = 0.01, sigma: float = 0.04) -> None:
        super().__init__()
        if weight < 0 or sigma < 0:
            raise BadInput(f"weight and sigma must be at least 0, not {weight} and {sigma}")
        self.weight, self.sigma = weight, sigma

    def loss(self, model: Any, batch: Batch) -> Tensor:
        logits = model(batch.images)
        natural = nn.functional.cross_entropy(logits, batch.labels)
        if self.weight == 0:
            return natural
        other = model(noisy(batch, self.sigma))
        return natural + self.weight * nn.functional.cross_entropy(other, logits.softmax(1))
