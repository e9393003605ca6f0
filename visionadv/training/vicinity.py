"""A method of training is a vicinity of the data: virtual inputs, virtual labels, and a loss of both.

Equation (5.4) and Table 5.1 of Cheng's dissertation: what is minimised is the mean of L(f(x~), y~), where x~ lies near
an image x and y~ near its label y. Natural training, the first row of the table, has x~ = x and y~ = y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Batch:
    """What a step is about.

    `images` (B, C, H, W) in [0, 1] and `labels` (B,) of the data set's `rows` (B,); `seeds` (B,) are those of `noise`,
    and with `step`, the number of the step, they make all random numbers; `common` (1,) is one for all images of all
    processes, and `host_seeds` (B,) are the seeds in the CPU's memory, for what is drawn there: a GPU that is asked for
    a number is waited for. `repeat` counts the steps on one batch.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    seeds: Tensor
    step: int
    common: Tensor
    host_seeds: Tensor
    repeat: int = 0


class Vicinity(nn.Module):
    """Natural training, and what other methods change of it.

    Its parameters and buffers are the method's state: they go into checkpoints, and their gradients come from the same
    backward pass as the model's. Weights that don't require a gradient aren't learnt.
    """

    repeats = 1  # steps in a row on the same batch
    own_gradients = False  # whether it takes gradients of inputs or of its state, which a scaled loss would scale
    classes: int  # K

    def begin(self, model: Any, *, count: int, classes: int, shape: tuple[int, ...]) -> None:
        """Makes room for the state, and changes the model where the method does; before the first step.

        Args:
            count: images of the data set.
            shape: (B, C, H, W) of a batch.

        Raises:
            BadInput: the method can't train such a model.
        """
        self.classes = classes

    def inputs(self, model: Any, batch: Batch) -> Tensor:
        """(B, C, H, W) virtual inputs x~."""
        return batch.images

    def targets(self, model: Any, batch: Batch) -> Tensor:
        """Virtual labels y~ of these: (B,) classes or (B, K) distributions."""
        return batch.labels

    def loss(self, model: Any, batch: Batch) -> Tensor:
        """What is minimised, the mean over a batch."""
        inputs = self.inputs(model, batch)
        return nn.functional.cross_entropy(model(inputs), self.targets(model, batch))

    def after(self, model: Any, batch: Batch) -> None:
        """Changes the state, when the model has made its step; gradients are still there."""

    def nets(self, model: Any) -> dict[str, Any]:
        """What comes of it, when the last step is done: "" is the model, and others have names."""
        return {"": model}
