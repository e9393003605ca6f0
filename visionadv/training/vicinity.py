"""A method of training is a vicinity of the data: virtual inputs, virtual labels, and a loss of both.

Equation (5.4) and Table 5.1 of Cheng's dissertation: what is minimised is the mean of L(f(x~), y~), where x~ lies near
an image x and y~ near its label y. Natural training, the first row of the table, has x~ = x and y~ = y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """What a step is about.

    `images` (B, C, H, W) in [0, 1] and `labels` (B,) of the data set's `rows` (B,); `seeds` (B,) are those of `noise`,
    and with `step`, the number of the step, they make all random numbers. `repeat` counts the steps on one batch.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    seeds: Tensor
    step: int
    repeat: int = 0


class Vicinity(nn.Module):
    """Natural training, and what other methods change of it.

    Its parameters and buffers are the method's state: they go into checkpoints, and their gradients come from the same
    backward pass as the model's.
    """

    repeats = 1  # steps in a row on the same batch

    def inputs(self, model: Any, batch: Batch) -> Tensor:
        """(B', C, H, W) virtual inputs x~."""
        return batch.images

    def targets(self, model: Any, batch: Batch) -> Tensor:
        """Virtual labels y~ of these: (B',) classes or (B', K) distributions."""
        return batch.labels

    def loss(self, model: Any, batch: Batch) -> Tensor:
        """What is minimised, the mean over a batch."""
        return nn.functional.cross_entropy(model(self.inputs(model, batch)), self.targets(model, batch))

    def after(self, model: Any, batch: Batch) -> None:
        """Changes the state, when the model has made its step; gradients are still there."""


VICINITIES = {"natural": Vicinity}
