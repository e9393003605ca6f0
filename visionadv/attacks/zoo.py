"""ZOO-Adam (Chen, Zhang, Sharma, Yi, Hsieh, AISec 2017, arXiv:1708.03999, (4) to (6), Algorithms 1 and 2): scores only.

    minimize |x' - x|^2 + c max(-f(x'), -kappa)

as Carlini and Wagner do, f being the margin of the log probabilities, but the slope of a coordinate i is estimated by

    (F(x' + h e_i) - F(x' - h e_i)) / 2 h.

Each step takes some coordinates at random and moves them by Adam, whose state is kept for each coordinate. c is looked
for as by Carlini and Wagner.

For large images (sections 3.3 to 3.5) the perturbation is D(y), y being smaller than the image and D bilinear resizing.
y can grow at certain steps, and then coordinates are drawn in proportion to the size of y around them.

Deviations: the defaults are those of the authors' code for MNIST with a search over c, without tanh; a y as large as
the image is then cut off where the image leaves the cube. A probe that leaves it is cut off, too, and the quotient is
that of what is left. The difference of distances needs no query, and is computed without cancellation. As in their
code, an image whose loss hasn't fallen in 100 steps ends its round, and `resets` starts Adam anew at its first success.
All rounds would take millions of queries; the usual budget of 60,000 is 233 steps of 128 coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from visionadv.attacks.carlini_wagner_l2 import NEARLY, search_constant
from visionadv.configs import BadInput
from visionadv.noise import uniform
from visionadv.oracles import ScoreOracle

AT_ONCE = 16  # coordinates of an image
PATIENCE = 100  # steps
REGIONS = 8  # along a side, of one importance each


@dataclass(frozen=True)
class Zoo:
    """`binary_steps` rounds of `steps` steps of `coordinates` each; the first round has `constant` for c.

    `side` is that of y at first, 0 for the image's own; it doubles at each step of `grow_at`, up to the image's. The
    paper's settings for ImageNet are side 32, grow_at (2000, 10000), tanh, importance, resets, step_size 0.002.
    """

    binary_steps: int = 9
    steps: int = 3000
    step_size: float = 0.01
    constant: float = 0.01
    confidence: float = 0.0
    coordinates: int = 128
    h: float = 1e-4
    tanh: bool = False
    side: int = 0
    grow_at: tuple[int, ...] = ()
    importance: bool = False
    resets: bool = False

    oracle: ClassVar = ScoreOracle
    norms: ClassVar = ("l2",)
    eps: ClassVar = None
    budget: ClassVar = 60_000

    def check(self, shape: Sequence[int]) -> None:
        """Raises BadInput where y can't be smaller than images of a shape without the batch."""
        if not self.side:
            return
        if len(shape) != 3:
            raise BadInput(f"a smaller space needs images (C, H, W), not {tuple(shape)}; leave side at 0")
        if shape[1] != shape[2]:
            raise BadInput(
                f"a smaller space needs images as high as wide, and these are {shape[1]}x{shape[2]}; leave side at 0"
            )
        if self.side > shape[2]:
            raise BadInput(f"a side of {self.side} is larger than the images', {shape[2]}; choose a smaller one")

    def run(self, oracle: ScoreOracle, seeds: Tensor) -> None:
        oracle.confidence, offset = self.confidence, 0

        def attempt(oracle: ScoreOracle, rows: Tensor, constant: Tensor) -> Tensor:
            nonlocal offset
            offset += self.steps
            return self._round(oracle, rows, constant[rows], seeds[rows], offset - self.steps)

        search_constant(oracle, attempt, self.constant, self.binary_steps)

    def least_budget(self, shape: Sequence[int]) -> int:
        """Queries until a first step is shown, for images of a shape (C, H, W)."""
        values = shape[0] * self.side**2 if self.side else math.prod(shape)
        return 3 + 2 * min(self.coordinates, values)

    def _round(self, oracle: ScoreOracle, rows: Tensor, constant: Tensor, seeds: Tensor, offset: int) -> Tensor:
        """(B,) where a round of steps succeeds; `offset` is the number of steps taken before."""
        reached = torch.zeros_like(oracle.closed)
        originals = oracle.images[rows]
        y = (
            originals.new_zeros(*originals.shape[:2], self.side, self.side)
            if self.side
            else torch.zeros_like(originals)
        )
        adam = torch.zeros(3, *y.flatten(1).shape, dtype=y.dtype, device=y.device)  # mean, square, number of steps
        before = torch.full_like(constant, torch.inf)
        fresh = torch.ones_like(rows, dtype=torch.bool)  # nothing has succeeded in this round
        for number in range(self.steps):
            if self.side and number in self.grow_at and y.shape[-1] < originals.shape[-1]:
                y = resized(y, min(2 * y.shape[-1], originals.shape[-1]))
                adam = torch.zeros(3, *y.flatten(1).shape, dtype=y.dtype, device=y.device)
            images = self.images(originals, y)
            logits = oracle.logits(images, rows)
            margin, good = oracle.goal.margin(logits, rows), oracle.succeeds(logits, rows)
            reached[rows] |= good
            if self.resets:
                adam[:, good & fresh] = 0
                fresh &= ~good
            left = oracle.open[rows]
            if number % PATIENCE == 0:
                loss = (images - originals).flatten(1).square().sum(1)
                loss = loss - constant * margin.clamp(max=self.confidence)
                left &= loss <= 0.9999 * before
                before = loss
            if not left.all():
                rows, originals, y, adam, before = rows[left], originals[left], y[left], adam[:, left], before[left]
                constant, seeds, fresh = constant[left], seeds[left], fresh[left]
            if len(rows) == 0:
                break
            chosen = self.chosen(y, seeds, offset + number)
            slopes = self.slopes(oracle, originals, rows, y, chosen, constant)
            y = self.moved(originals, y, adam, chosen, slopes)
        return reached

    def images(self, originals: Tensor, y: Tensor) -> Tensor:
        """(n, ...) what y (n, ...) stands for, in the cube."""
        delta = resized(y, originals.shape[-1]) if self.side else y
        if self.tanh:
            return ((torch.atanh((2 * originals - 1) * NEARLY) + delta).tanh() + 1) / 2
        return (originals + delta).clamp(0, 1)

    def chosen(self, y: Tensor, seeds: Tensor, step: int) -> Tensor:
        """(n, k) different coordinates of y, uniformly, or where it has grown in proportion to how much it holds."""
        draws = uniform(seeds, step, y.shape[1:], dtype=torch.float64).flatten(1)
        if self.importance and y.shape[-1] > self.side > 0:
            window = max(1, y.shape[-1] // REGIONS)
            held = nn.functional.max_pool2d(y.abs(), window, ceil_mode=True)
            held = nn.functional.interpolate(held, y.shape[-2:]).flatten(1).double()
            draws = -draws.log() / held.where(held.amax(1, keepdim=True) > 0, 1.0)  # exponential clocks
        return draws.topk(min(self.coordinates, draws.shape[1]), dim=1, largest=False).indices

    def slopes(
        self, oracle: ScoreOracle, originals: Tensor, rows: Tensor, y: Tensor, chosen: Tensor, constant: Tensor
    ) -> Tensor:
        """(n, k) difference quotients of the loss, of the chosen coordinates (n, k): two queries each."""
        flat, parts = y.flatten(1), []
        for places in chosen.split(AT_ONCE, dim=1):
            owner = torch.arange(len(rows), device=rows.device).repeat_interleave(places.shape[1])
            own, at = originals[owner], places.reshape(-1, 1)
            ends = []
            for sign in (1, -1):
                moved = flat[owner].scatter_add_(1, at, torch.full_like(at, sign * self.h, dtype=y.dtype))
                ends.append(self.images(own, moved.view(-1, *y.shape[1:])))
            width = torch.full_like(own.flatten(1)[:, 0], 2 * self.h)
            if not self.tanh and not self.side:
                width = (ends[0] - ends[1]).flatten(1).sum(1)  # less than 2 h at a face
            logits = oracle.logits(torch.cat(ends), rows[owner].repeat(2))
            margins = oracle.goal.margin(logits, rows[owner].repeat(2)).clamp(max=self.confidence)
            gain = margins[: len(owner)] - margins[len(owner) :]
            far = ((ends[0] - ends[1]) * (ends[0] + ends[1] - 2 * own)).flatten(1).sum(1)
            rise = (far - constant[owner] * gain) / width.clamp(min=torch.finfo(y.dtype).tiny)
            parts.append(rise.where(width > 0, 0.0).view(len(rows), -1))
        return torch.cat(parts, dim=1)

    def moved(self, originals: Tensor, y: Tensor, adam: Tensor, chosen: Tensor, slopes: Tensor) -> Tensor:
        """(n, ...) y after a step of Adam in the chosen coordinates; its state (3, n, V) is changed in place."""
        mean, square, times = (one.gather(1, chosen) for one in adam)
        mean, square, times = 0.9 * mean + 0.1 * slopes, 0.999 * square + 0.001 * slopes**2, times + 1
        for state, new in zip(adam, (mean, square, times), strict=True):
            state.scatter_(1, chosen, new)
        rate = self.step_size * (1 - 0.999**times).sqrt() / (1 - 0.9**times)
        y = y.flatten(1).scatter_add(1, chosen, -rate * mean / (square.sqrt() + 1e-8)).view(y.shape)
        if self.tanh or self.side:
            return y
        return (originals + y).clamp(0, 1) - originals


def resized(y: Tensor, side: int) -> Tensor:
    """Maps (n, C, s, s) of another side, by bilinear interpolation."""
    return nn.functional.interpolate(y, (side, side), mode="bilinear") if y.shape[-1] != side else y
