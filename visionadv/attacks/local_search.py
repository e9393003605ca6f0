"""LocSearchAdv (Narodytska and Kasiviswanathan, CVPR workshops 2017, arXiv:1612.06299, Algorithms 2 and 3): scores.

Of some pixels, at first a random tenth of all, each is set to an extreme value p sign(I) in turn, to see how far the
likelihood of the label falls. The t pixels of the largest falls are changed for good, I to r I, and what leaves the
range comes in again at its other end; the pixels within d of these are looked at in the next round. All channels of a
pixel change together. I is the image as it is by then, moved to the range from -1/2 to 1/2.

Deviations: the paper makes p larger or smaller as it goes, without saying by how much. All images are clipped before
they are shown, so every p from 1/2 on is the same. A pixel that has changed rests for 30 rounds, as in the paper's
experiments, but where all pixels in question rest none does. An image of a single changed pixel that succeeds is a
success. With a target, its likelihood is to rise. L0 counts values, so that a pixel of a colour image counts thrice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.losses import cross_entropy
from visionadv.noise import uniform
from visionadv.oracles import ScoreOracle

VALUES_AT_ONCE = 2**22  # of images of one changed pixel
FIRST = 0.1  # of all pixels, in the first round


@dataclass(frozen=True)
class LocalSearch:
    """`p` marks a pixel and `r` changes it; `t` pixels in each of `rounds`, `d` around these in the next."""

    p: float = 10.0
    r: float = 1.5
    d: int = 5
    t: int = 5
    rounds: int = 150
    rest: int = 30

    oracle: ClassVar = ScoreOracle
    norms: ClassVar = ("l0",)
    eps: ClassVar = None

    def check(self, shape: Sequence[int]) -> None:
        """Raises BadInput for what isn't (C, H, W)."""
        if len(shape) != 3:
            raise BadInput(f"a local search needs pixels: images (C, H, W), not {tuple(shape)}")

    def run(self, oracle: ScoreOracle, seeds: Tensor) -> None:
        rows = oracle.left()
        images = oracle.images[rows]
        height, width = images.shape[2:]
        draws = uniform(seeds[rows], 0, (height * width,), dtype=torch.float64)
        near = lowest(draws, max(1, round(FIRST * height * width)))  # (n, H W)
        rested = torch.zeros_like(near, dtype=torch.long)  # the round from which on a pixel may be changed again
        for number in range(self.rounds):
            awake = near & (rested <= number)
            near = torch.where(awake.any(1, keepdim=True), awake, near)
            falls = self._falls(oracle, images, rows, near)
            oracle.close(rows[oracle.found[rows]])
            left = oracle.open[rows]
            rows, images, near, rested, falls = (one[left] for one in (rows, images, near, rested, falls))
            if len(rows) == 0:
                return
            changed = lowest(-falls, self.t) & near
            image = cyclic(images.flatten(2), self.r).where(changed[:, None], images.flatten(2))
            images = image.reshape(images.shape)
            oracle.logits(images, rows)
            oracle.close(rows[oracle.found[rows]])
            rested = rested.masked_fill(changed, number + 1 + self.rest)
            square = nn.functional.max_pool2d(
                changed.to(images.dtype).view(-1, 1, height, width), 2 * self.d + 1, stride=1, padding=self.d
            )
            near = square.flatten(1) > 0

    def least_budget(self, shape: Sequence[int]) -> int:
        """Queries until a change of the first pixels is shown, for images of a shape (C, H, W)."""
        return 2 + max(1, round(FIRST * math.prod(shape[1:])))

    def _falls(self, oracle: ScoreOracle, images: Tensor, rows: Tensor, near: Tensor) -> Tensor:
        """(n, H W) how near the goal an image comes by a pixel of `near` (n, H W); a query for each."""
        falls = torch.full_like(near, -torch.inf, dtype=images.dtype)
        owner, pixel = near.nonzero(as_tuple=True)
        most = max(1, VALUES_AT_ONCE // images[0].numel())
        for own, at in zip(owner.split(most), pixel.split(most), strict=True):
            shown = images[own].flatten(2)
            mine = torch.arange(len(own), device=own.device)
            shown[mine, :, at] = 0.5 + self.p * (shown[mine, :, at] - 0.5).sign()
            logits = oracle.logits(shown.view(-1, *images.shape[1:]), rows[own])
            falls[own, at] = cross_entropy(logits, oracle.goal, rows[own])
        return falls


def lowest(values: Tensor, count: int) -> Tensor:
    """(n, D) which of the values (n, D) are the lowest, the first of equal ones."""
    order = values.argsort(dim=1, stable=True)[:, :count]
    return torch.zeros_like(values, dtype=torch.bool).scatter_(1, order, True)


def cyclic(images: Tensor, r: float) -> Tensor:
    """Values of [0, 1], moved to [-1/2, 1/2], times r, and in again at the other end (Algorithm 2)."""
    values = r * (images - 0.5)
    return (values + 1).where(values < -0.5, (values - 1).where(values > 0.5, values)) + 0.5
