"""APGD (Croce and Hein, ICML 2020, arXiv:2003.01690, Algorithm 1): PGD with momentum that finds its step size.

A step goes along the steepest way z and keeps a part of the last one,

    x_{k+1} = P(x_k + alpha (z - x_k) + (1 - alpha) (x_k - x_{k-1})),   z = P(x_k + eta d_k).

At checkpoints, which become more frequent, an image whose loss rose in fewer than rho of the steps, or whose best loss
hasn't risen since a checkpoint that left its step size as it was, goes on from its best point with half the step size
(conditions 1 and 2 of section 3). APGD-T ascends the targeted DLR towards one other class after the other.

Deviations: an image that succeeds leaves at once. Checkpoints lie at whole numbers of steps, and a random start lies on
the sphere, as in the authors' code. That code counts the first rise from a loss of 0, and halves at exactly rho, too;
here the paper is followed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor

from visionadv.distances import project, steepest, unit, wide
from visionadv.goals import Goal, in_turn
from visionadv.losses import LOSSES, Loss
from visionadv.noise import normal, uniform
from visionadv.oracles import GradientOracle

FIRST_CHECK, SOONER, SHORTEST = 0.22, 0.03, 0.06  # of all steps: until the first checkpoint, less each time, at least


@dataclass
class _Climb:
    """Where n images are: all tensors are (n, ...)."""

    rows: Tensor
    images: Tensor
    before: Tensor  # the images of the last step
    values: Tensor  # their losses
    best: Tensor
    best_slopes: Tensor
    best_values: Tensor
    checked: Tensor  # the best losses at the last checkpoint
    halved: Tensor  # whether that halved the step
    rises: Tensor  # since then
    size: Tensor  # of a step

    def keep(self, left: Tensor) -> None:
        """Lets the others go."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[left])


@dataclass(frozen=True)
class Apgd:
    """`restarts` climbs of `steps`; `momentum` is alpha, `rises` is rho.

    `targets`: where any wrong class is a success, climbs towards so many of the likeliest ones in turn; 0 for none.
    """

    steps: int = 100
    restarts: int = 1
    loss: Literal["cross_entropy", "margin", "dlr"] = "cross_entropy"
    targets: int = 0
    momentum: float = 0.75
    rises: float = 0.75

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("linf", "l2")
    eps: ClassVar = 0.3

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        for place, aim in enumerate(in_turn(oracle.goal, oracle.clean, self.targets)):

            def towards(logits: Tensor, goal: Goal, rows: Tensor, aim: Goal = aim) -> Tensor:
                return LOSSES[self.loss](logits, aim, rows)

            for restart in range(self.restarts):
                rows = oracle.left()
                if len(rows) == 0:
                    return
                self._climb(oracle, rows, seeds[rows], place * self.restarts + restart, towards)

    def _climb(self, oracle: GradientOracle, rows: Tensor, seeds: Tensor, number: int, loss: Loss) -> None:
        """One climb from a random start."""
        at = _start(oracle, rows, seeds, number)
        periods = {check: check - earlier for earlier, check in pairwise([0, *checkpoints(self.steps)])}
        for step in range(self.steps):
            values, slopes, _ = oracle.gradient(at.images, at.rows, loss)
            oracle.close(at.rows[oracle.found[at.rows]])
            left = oracle.open[at.rows]
            if not left.all():
                at.keep(left)
                values, slopes = values[left], slopes[left]
            if len(at.rows) == 0:
                return
            at.rises += values > at.values
            better = values > at.best_values
            at.values, at.best_values = values, torch.maximum(values, at.best_values)
            at.best = at.images.where(wide(better, slopes), at.best)
            at.best_slopes = slopes.where(wide(better, slopes), at.best_slopes)
            if step in periods:
                slopes = self._check(at, slopes, periods[step])
            share = self.momentum if step else 1.0
            ahead = _inside(oracle, at, at.images + wide(at.size, slopes) * steepest(slopes, oracle.norm))
            moved = at.images + share * (ahead - at.images) + (1 - share) * (at.images - at.before)
            at.before, at.images = at.images, _inside(oracle, at, moved)
        oracle.logits(at.images, at.rows)
        oracle.close(at.rows[oracle.found[at.rows]])

    def _check(self, at: _Climb, slopes: Tensor, period: int) -> Tensor:
        """Halves steps and returns to the best points; gradients (n, ...) where the images are then."""
        stuck = ~at.halved & (at.best_values <= at.checked)
        at.halved = (at.rises < self.rises * period) | stuck
        at.checked, at.rises = at.best_values, torch.zeros_like(at.rises)
        at.size = torch.where(at.halved, at.size / 2, at.size)
        at.values = torch.where(at.halved, at.best_values, at.values)
        at.images = at.best.where(wide(at.halved, slopes), at.images)
        return at.best_slopes.where(wide(at.halved, slopes), slopes)


def checkpoints(steps: int) -> list[int]:
    """After how many steps it is looked whether a step is too large."""
    period = check = max(int(FIRST_CHECK * steps), 1)
    checks = []
    while check < steps:
        checks.append(check)
        period = max(period - max(int(SOONER * steps), 1), int(SHORTEST * steps), 1)
        check += period
    return checks


def _start(oracle: GradientOracle, rows: Tensor, seeds: Tensor, number: int) -> _Climb:
    """At random points of the sphere, with steps of its diameter."""
    originals = oracle.images[rows]
    shape, dtype = originals.shape[1:], originals.dtype
    if oracle.norm == "linf":
        way = 2 * uniform(seeds, number, shape, dtype=dtype) - 1
    else:
        way = normal(seeds, number, shape, dtype=dtype)
    images = (originals + oracle.limit * unit(way, oracle.norm)).clamp(0, 1)
    lowest = torch.full_like(oracle.distance[rows], -torch.inf)
    never = torch.zeros_like(rows, dtype=torch.bool)
    return _Climb(
        rows=rows,
        images=images,
        before=images,
        values=-lowest,
        best=images,
        best_slopes=torch.zeros_like(images),
        best_values=lowest,
        checked=lowest,
        halved=never,
        rises=torch.zeros_like(rows),
        size=torch.full_like(lowest, 2 * oracle.limit),
    )


def _inside(oracle: GradientOracle, at: _Climb, images: Tensor) -> Tensor:
    """Images pulled back to within eps, and clipped."""
    originals = oracle.images[at.rows]
    return (originals + project(images - originals, oracle.limit, oracle.norm)).clamp(0, 1)
