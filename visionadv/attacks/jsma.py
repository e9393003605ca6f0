"""JSMA (Papernot, McDaniel, Jha, Fredrikson, Celik, Swami, EuroS&P 2016, arXiv:1511.07528, Algorithms 2 and 3).

Two values a step are moved by theta towards their face, until the target is reached or the share gamma of all values
has changed: the pair (p, q) of the largest saliency

    -(a_p + a_q) (b_p + b_q),   where a_p + a_q > 0 and b_p + b_q < 0,

a being the gradient of the target's logit and b that of all others together; theta below 0 turns both signs. A value
that is at its face takes no more part.

The pair is the best of all pairs, though not all are looked at. A value to which two others are no worse, both in a and
in b, can be replaced by one of them in every pair; what is left is a handful, found by sorting.

Deviations: for any wrong class, the likeliest other classes are targets one after the other, and a search ends where it
has changed as many values as the best before it. A step shows the image twice, once for each gradient, so that it costs
two gradients and not one for each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.distances import size
from visionadv.goals import Goal
from visionadv.oracles import GradientOracle

PAIRS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Jsma:
    """`theta` is added to a value, at most the share `gamma` changes; of any wrong class, `candidates` with the own."""

    theta: float = 1.0
    gamma: float = 0.145
    candidates: int = 10

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("l0",)
    eps: ClassVar = None

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        if oracle.goal.targets is not None:
            self._towards(oracle, oracle.goal.targets)
            return
        others = oracle.clean.scatter(1, oracle.goal.labels[:, None], -torch.inf)
        for targets in others.topk(min(self.candidates, others.shape[1]) - 1, dim=1).indices.T:
            self._towards(oracle, targets)

    def least_budget(self, shape: Sequence[int]) -> int:
        """The unchanged image, two gradients, and what the first pair makes of it."""
        return 4

    def _towards(self, oracle: GradientOracle, targets: Tensor) -> None:
        """Changes pairs of values in favour of the classes `targets` (B,)."""
        rows = oracle.left()
        images = oracle.images[rows]

        def target(logits: Tensor, goal: Goal, rows: Tensor) -> Tensor:
            return logits.gather(1, targets[rows][:, None])[:, 0]

        def others(logits: Tensor, goal: Goal, rows: Tensor) -> Tensor:
            return logits.sum(1) - target(logits, goal, rows)

        way = 1 if self.theta > 0 else -1
        for _ in range(int(oracle.images[0].numel() * self.gamma / 2)):
            _, gain, logits = oracle.gradient(images, rows, target)
            fewer = size(images - oracle.images[rows], "l0") < oracle.distance[rows]
            left = oracle.open[rows] & fewer & ~oracle.goal.reached(logits.argmax(1), rows)
            rows, images, gain = rows[left], images[left], gain[left]
            if len(rows) == 0:
                return
            _, harm, _ = oracle.gradient(images, rows, others)
            flat = images.flatten(1)
            free = flat < 1 if self.theta > 0 else flat > 0
            pairs, some = best_pairs(way * gain.flatten(1), -way * harm.flatten(1), free)
            moved = (flat + self.theta * torch.zeros_like(flat).scatter_(1, pairs, 1.0)).clamp(0, 1)
            rows, images = rows[some], moved.reshape(images.shape)[some]
            if len(rows) == 0:
                return
        oracle.logits(images, rows)


def best_pairs(gain: Tensor, loss: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """(n, 2) the pairs of the largest product of their sums, of those whose sums are above 0; and where there is one.

    Args:
        gain, loss: (n, D), each summed over the pair.
        free: (n, D) which may be taken.
    """
    gain, loss = gain.where(free, -torch.inf), loss.where(free, -torch.inf)
    order = gain.argsort(dim=1, descending=True, stable=True)
    loss = loss.gather(1, order)
    worst = torch.full_like(loss[:, :1], -torch.inf)
    largest = torch.cat([worst, loss.cummax(1).values[:, :-1]], dim=1)  # of those of a larger gain
    second = torch.cat([worst, torch.minimum(loss, largest).cummax(1).values[:, :-1]], dim=1)
    kept = loss > second  # at most one of a larger gain has as large a loss
    count = max(2, int(kept.sum(1).max()))
    places = kept.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :count]
    order = order.gather(1, places)
    loss = loss.gather(1, places).where(kept.gather(1, places), -torch.inf)
    gain = gain.gather(1, order)
    best, pair = torch.zeros_like(gain[:, 0]), torch.zeros_like(order[:, :2])
    own = torch.arange(count, device=gain.device)
    for first in own.split(max(1, PAIRS_AT_ONCE // (len(gain) * count))):
        gains, losses = gain[:, first, None] + gain[:, None], loss[:, first, None] + loss[:, None]  # (n, part, count)
        good = (gains > 0) & (losses > 0) & (first[:, None] != own)
        value, place = torch.where(good, gains * losses, 0.0).flatten(1).max(1)
        both = torch.stack([first[place // count], place % count], dim=1)
        pair = torch.where((value > best)[:, None], order.gather(1, both), pair)
        best = torch.maximum(value, best)
    return pair, best > 0
