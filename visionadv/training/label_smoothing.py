"""Label smoothing (Szegedy et al., CVPR 2016; (5.5) of Cheng's dissertation): y~ = (1 - alpha) y + alpha / K.

`SmoothedGaussian` is both label smoothing and Gaussian augmentation (Shafahi et al., 2019), LS+GA of Table 5.1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from visionadv.configs import BadInput
from visionadv.training.gaussian import Gaussian
from visionadv.training.vicinity import Batch, Vicinity


def one_hot(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """(B, K) distributions of one class each, of a dtype like another's."""
    return torch.nn.functional.one_hot(labels, classes).to(like.dtype)


def smoothed(labels: Tensor, classes: int, alpha: float, like: Tensor) -> Tensor:
    """(B, K) labels of which a part alpha is spread over all classes."""
    return (1 - alpha) * one_hot(labels, classes, like) + alpha / classes


def check_share(name: str, value: float) -> None:
    """Raises BadInput for what is no share of a whole."""
    if not 0 <= value <= 1:
        raise BadInput(f"{name} must be from 0 to 1, not {value}")


class LabelSmoothing(Vicinity):
    """`alpha` is Szegedy et al.'s."""

    def __init__(self, *, alpha: float = 0.1) -> None:
        super().__init__()
        check_share("alpha", alpha)
        self.alpha = alpha

    def targets(self, model: Any, batch: Batch) -> Tensor:
        return smoothed(batch.labels, self.classes, self.alpha, batch.images)


class SmoothedGaussian(Gaussian):
    """Both."""

    def __init__(self, *, alpha: float = 0.1, sigma: float = 0.1) -> None:
        super().__init__(sigma=sigma)
        check_share("alpha", alpha)
        self.alpha = alpha

    def targets(self, model: Any, batch: Batch) -> Tensor:
        return smoothed(batch.labels, self.classes, self.alpha, batch.images)
