"""The L2 attack of Carlini and Wagner (S&P 2017, arXiv:1608.04644, section VI.A).

    minimize |x' - x|^2 + c max(-f(x'), -kappa),   x' = (tanh(w) + 1) / 2,

by Adam on w; f is the margin, above 0 for a success. c is ten times as large while nothing succeeds, and afterwards the
middle of the largest that failed and the smallest that didn't. The best success of all rounds is kept.

Deviations: 1,000 steps a round, where the authors' file has 10,000, and its 9 rounds, where the paper has 20; one
start, where the paper has several. An image whose loss has stopped to fall ends its round alone, and the round ends
when all have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from visionadv.distances import wide
from visionadv.losses import margin_up_to
from visionadv.oracles import GradientOracle, ScoreOracle

NEARLY = 1 - 1e-6  # of the range of tanh, so that a black or a white pixel can change


def search_constant(
    oracle: ScoreOracle, attempt: Callable[[Any, Tensor, Tensor], Tensor], first: float, rounds: int
) -> None:
    """Looks for the smallest c (B,) that succeeds: `attempt(oracle, rows, c)` says (B,) where it does."""
    low = torch.zeros_like(oracle.distance)
    high = torch.full_like(low, torch.inf)
    constant = torch.full_like(low, first)
    for _ in range(rounds):
        rows = oracle.left()
        if len(rows) == 0:
            return
        reached = attempt(oracle, rows, constant)
        low = torch.where(reached, low, torch.maximum(low, constant))
        high = torch.where(reached, torch.minimum(high, constant), high)
        constant = torch.where(high.isfinite(), (low + high) / 2, 10 * constant)


@dataclass(frozen=True)
class CarliniWagnerL2:
    """`binary_steps` rounds of `steps` steps of Adam; the first has `constant` for c; `confidence` is kappa."""

    binary_steps: int = 9
    steps: int = 1000
    step_size: float = 0.01
    constant: float = 1e-3
    confidence: float = 0.0
    abort_early: bool = True

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("l2",)
    eps: ClassVar = None

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        oracle.confidence = self.confidence
        search_constant(oracle, self._round, self.constant, self.binary_steps)

    def _round(self, oracle: GradientOracle, rows: Tensor, constant: Tensor) -> Tensor:
        """(B,) where a round of Adam succeeds."""
        reached = torch.zeros_like(oracle.closed)
        originals = oracle.images[rows]
        space = torch.atanh((2 * originals - 1) * NEARLY)
        centre = (space.tanh() + 1) / 2  # what the distance is to, as in the authors' code
        mean, square = torch.zeros_like(space), torch.zeros_like(space)
        before = torch.full_like(oracle.distance[rows], torch.inf)
        every = max(1, self.steps // 10)

        for number in range(1, self.steps + 1):
            images = (space.tanh() + 1) / 2
            values, slopes, logits = oracle.gradient(images, rows, margin_up_to(self.confidence))
            reached[rows] |= oracle.succeeds(logits, rows)
            delta = images - centre
            weight = wide(constant[rows], images)
            slope = (2 * delta - weight * slopes) * 2 * images * (1 - images)  # d x' / d w = 2 x' (1 - x')
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            rate = self.step_size * (1 - 0.999**number) ** 0.5 / (1 - 0.9**number)
            space = space - rate * mean / (square.sqrt() + 1e-8)
            left = oracle.open[rows]
            if self.abort_early and number % every == 0:
                loss = delta.flatten(1).square().sum(1) - constant[rows] * values
                left &= loss <= 0.9999 * before
                before = torch.minimum(before, loss)
            if not left.all():
                rows, space, centre, before = rows[left], space[left], centre[left], before[left]
                mean, square = mean[left], square[left]
            if len(rows) == 0:
                break
        return reached
