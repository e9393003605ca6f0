"""Sign-OPT with fewer queries for the same: an attack of this project's own, by decisions only, L2.

Sign-OPT (`sign_opt`) descends the distance to the boundary, g(theta), by the signs of its differences. Here

- it begins at the nearest of a few blends of the original with noise, known no better than need be, in place of a
  hundred directions of which each success is bisected;
- a slope costs few queries at first and more later, the root of the number of the step times `directions`;
- the directions u are orthogonal to theta, along which g doesn't change, and their answers are centred, as those of
  HopSkipJump: mean over u of (s - mean of s) u, s = sign(g(theta + beta u) - g(theta));
- beta shrinks from step to step, so that the answers about a curved boundary aren't all the same;
- a step is shown at the distance of the best first, and bisected only if it succeeds there;
- theta is that of the clipped image, so that what is descended is what counts.

Deviations: from Sign-OPT, all of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.line_search import NOISES, bisect, blended_start, reached_at, unit, wide
from visionadv.distances import size
from visionadv.noise import normal
from visionadv.oracles import DecisionOracle

AT_ONCE = 50  # directions of an image
TRIES = 15  # steps of a line search, in either direction
SHRINK = 0.05  # of a bracket, where its lower end succeeds, too; it doubles each time


@dataclass(frozen=True)
class FrugalSignOpt:
    """`starts` blends of noise; `directions` of the first slope; `alpha` the first step.

    In step t + 1 the smoothing is beta / sqrt(t + 1), and bisections leave tolerance / (t + 1) of the distance, but
    neither less than its `least_` value.
    """

    steps: int = 1000
    starts: int = 3
    directions: int = 30
    alpha: float = 0.5
    beta: float = 0.03
    least_beta: float = 1e-3
    tolerance: float = 2e-3
    least_tolerance: float = 2e-4
    blend: float = 0.01
    focus: float = 0.0
    memory: float = 0.0
    smooth: int = 1

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2",)
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        rows, images = blended_start(oracle, seeds, successes=self.starts, tolerance=self.blend)
        theta, distance = polar(images - oracle.images[rows])
        alpha = torch.full_like(distance, self.alpha)
        drawn = NOISES
        for number in range(1, self.steps + 1):
            left = oracle.open[rows]
            if not left.any():
                return
            rows, theta, distance, alpha = rows[left], theta[left], distance[left], alpha[left]
            count = int(self.directions * math.sqrt(number))
            beta = max(self.beta / math.sqrt(number), self.least_beta)
            way = ascent(oracle, rows, theta, distance, seeds[rows], beta, count, drawn, self.focus, self.smooth)
            if self.memory and number > 1:
                old = old[left]
                old = unit(old - wide((old * theta).flatten(1).sum(1), old) * theta, 'l2')
                way = unit(way + self.memory * old, 'l2')
            old = way
            drawn += count
            tolerance = max(self.tolerance / number, self.least_tolerance)
            theta, distance, alpha = self.descend(oracle, rows, theta, distance, way, alpha, tolerance)
            
    def descend(
        self,
        oracle: DecisionOracle,
        rows: Tensor,
        theta: Tensor,
        distance: Tensor,
        way: Tensor,
        alpha: Tensor,
        tolerance: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Directions, distances and steps after a line search against a way (n, ...) of length 1."""
        best, near, alpha = theta.clone(), distance.clone(), alpha.clone()
        moves = torch.zeros_like(oracle.open[rows])
        tried = alpha.clone()
        for factor in (2.0, 0.5):
            some = (~moves).nonzero()[:, 0]
            tried[some] = alpha[some] * (1.0 if factor == 2 else factor)
            for _ in range(TRIES):
                some = some[oracle.open[rows[some]]]
                if len(some) == 0:
                    break
                moved = unit(theta[some] - wide(tried[some], way[some]) * way[some], "l2")
                reached = reached_at(oracle, rows[some], moved, (1 - tolerance) * near[some])
                at = some[reached]
                best[at], near[at] = inwards(oracle, rows[at], moved[reached], (1 - tolerance) * near[at], tolerance)
                alpha[at], moves[at] = tried[at], True
                some = at if factor == 2 else some[~reached]
                tried[some] *= factor
        alpha[~moves] = tried[~moves]
        return best, near, alpha


def polar(delta: Tensor) -> tuple[Tensor, Tensor]:
    """Directions and lengths of perturbations."""
    return unit(delta, "l2"), size(delta, "l2")


def inwards(
    oracle: DecisionOracle, rows: Tensor, directions: Tensor, near: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Directions and distances (n,) of clipped successes, from successes at distances (n,) on."""
    low, high = near.clone(), near.clone()
    some, share = torch.arange(len(rows), device=rows.device), SHRINK
    while len(some):
        low[some] = near[some] * (1 - share)
        reached = reached_at(oracle, rows[some], directions[some], low[some])
        high[some[reached]] = low[some[reached]]
        some = some[reached & oracle.open[rows[some]]]
        share = min(2 * share, 1.0)
    found = bisect(oracle, rows, directions, low, high, tolerance * near)
    originals = oracle.images[rows]
    return polar((originals + wide(found, directions) * directions).clamp(0, 1) - originals)


def ascent(
    oracle: DecisionOracle,
    rows: Tensor,
    theta: Tensor,
    distance: Tensor,
    seeds: Tensor,
    beta: float,
    directions: int,
    drawn: int,
    focus: float, smooth: int = 1,
) -> Tensor:
    """(n, ...) of length 1, where g grows, by so many queries; their randomness begins at the draw `drawn`."""
    shape = theta.shape[1:]
    if focus:
        root = theta.abs() * theta[0].numel() ** 0.5
        if smooth > 1:
            root = torch.nn.functional.avg_pool2d(root, smooth, 1, smooth // 2, count_include_pad=False)
        scale = 1 - focus + focus * root
    total, signed, balance = torch.zeros_like(theta), torch.zeros_like(theta), torch.zeros_like(distance)
    for first in range(0, directions, AT_ONCE):
        count = min(AT_ONCE, directions - first)
        owner = torch.arange(len(rows), device=rows.device).repeat_interleave(count)
        draws = (drawn + first + torch.arange(count, device=rows.device)).repeat(len(rows))
        ways = normal(seeds[owner], draws, shape, dtype=theta.dtype)
        if focus:
            ways = ways * scale[owner]
        ways = unit(ways - wide((ways * theta[owner]).flatten(1).sum(1), ways) * theta[owner], "l2")
        moved = unit(theta[owner] + beta * ways, "l2")
        signs = 1 - 2 * reached_at(oracle, rows[owner], moved, distance[owner]).to(theta.dtype)
        signs, ways = signs.view(len(rows), count), ways.view(len(rows), count, *shape)
        total += ways.sum(1)
        signed += (signs.view(len(rows), count, *[1] * len(shape)) * ways).sum(1)
        balance += signs.sum(1)
    mean = balance / directions
    return unit(signed - wide(mean.where(mean.abs() < 1, 0.0), total) * total, "l2")
