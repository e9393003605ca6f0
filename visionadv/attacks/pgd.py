"""PGD (Madry et al., ICLR 2018, arXiv:1706.06083, section 2.1): steepest steps, each followed by a projection.

With the loss "margin" it is what Cheng's dissertation calls C&W-Linf (section 5.3.4.11). A confidence would never be
reached, since an image leaves when its margin is above 0. The defaults are the paper's for MNIST: 40 steps of 0.01
within 0.3.

Deviations: an image that is misclassified leaves at once; L1 takes the steepest step of that norm, a single value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from visionadv.distances import project, steepest, wide
from visionadv.losses import LOSSES, Loss
from visionadv.noise import normal, uniform
from visionadv.oracles import GradientOracle


@dataclass(frozen=True)
class Pgd:
    """`step_size` is in units of eps; each of the `restarts` begins at another random start."""

    steps: int = 40
    step_size: float = 1 / 30
    restarts: int = 1
    random_start: bool = True
    loss: Literal["cross_entropy", "margin", "dlr"] = "cross_entropy"

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("linf", "l2", "l1")
    eps: ClassVar = 0.3

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        for restart in range(self.restarts):
            rows = oracle.left()
            if len(rows) == 0:
                return
            images = oracle.images[rows]
            if self.random_start:
                images = (images + random_start(oracle, seeds[rows], restart, images)).clamp(0, 1)
            images, rows = ascend(oracle, images, rows, LOSSES[self.loss], steps=self.steps, step_size=self.step_size)
            oracle.logits(images, rows)
            oracle.close(rows[oracle.found[rows]])


def ascend(
    oracle: GradientOracle, images: Tensor, rows: Tensor, loss: Loss, *, steps: int, step_size: float
) -> tuple[Tensor, Tensor]:
    """Images after all steps, of originals `rows`; those that succeed on the way have left."""
    for _ in range(steps):
        _, slopes, _ = oracle.gradient(images, rows, loss)
        oracle.close(rows[oracle.found[rows]])
        left = oracle.open[rows]
        images, rows, slopes = images[left], rows[left], slopes[left]
        if len(rows) == 0:
            break
        moved = images + step_size * oracle.limit * steepest(slopes, oracle.norm)
        originals = oracle.images[rows]
        images = (originals + project(moved - originals, oracle.limit, oracle.norm)).clamp(0, 1)
    return images, rows


def random_start(oracle: GradientOracle, seeds: Tensor, restart: int, like: Tensor) -> Tensor:
    """A perturbation within eps: of Linf uniform in the cube; else in a random direction, of a uniform length."""
    shape, dtype = like.shape[1:], like.dtype
    if oracle.norm == "linf":
        return oracle.limit * (2 * uniform(seeds, 2 * restart, shape, dtype=dtype) - 1)
    direction = normal(seeds, 2 * restart, shape, dtype=dtype)
    length = uniform(seeds, 2 * restart + 1, (1,), dtype=dtype) * oracle.limit
    lengths = torch.linalg.vector_norm(direction.flatten(1), 1 if oracle.norm == "l1" else 2, dim=1)
    return direction * wide(length[:, 0] / lengths, direction)
