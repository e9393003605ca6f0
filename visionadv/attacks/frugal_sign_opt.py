"""Sign-OPT with fewer queries for the same: an attack of this project's own, by decisions only, L2.

Sign-OPT (`sign_opt`) descends the distance to the boundary, g(theta), by the signs s of its differences. Here

- it begins at the nearest of a few blends of the original with noise, known no better than need be, in place of a
  hundred directions of which each success is bisected;
- a slope costs few queries at first and more later, `directions` times the root of the number of the step;
- directions u are drawn larger where theta is large nearby, since a boundary that is reached by a few pixels leans
  towards these: each value is scaled by 1 - focus + focus |theta| / rms, with |theta| the mean of 3x3 pixels;
- u is orthogonal to theta, along which g doesn't change, and answers are centred: mean over u of (s - mean of s) u;
- the way of the step before is added, `memory` times, as far as it is orthogonal to theta;
- u's share beta shrinks from step to step, so that answers about a curved boundary aren't all the same;
- a step is shown at the best distance first, and bisected only if it succeeds there;
- theta is that of the clipped image, so that what is descended is what counts.

Deviations: from Sign-OPT, all of these. Centred answers are those of HopSkipJump, noise to begin with is the Boundary
attack's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from visionadv.attacks.hop_skip_jump import Votes
from visionadv.attacks.line_search import NOISES, bisect, blended_start, parts, reached_at
from visionadv.distances import size, unit, wide
from visionadv.noise import normal
from visionadv.oracles import DecisionOracle

TRIES = 15  # steps of a line search, in either direction
SMALLEST_STEP = 1e-4  # one that has become smaller starts anew
SHRINK = 0.05  # of a bracket, where its lower end succeeds, too; it doubles each time


@dataclass(frozen=True)
class FrugalSignOpt:
    """`starts` blends of noise, known to the share `blend`; `alpha` is the first step.

    In step t the share of u is beta / sqrt(t), and bisections leave tolerance / t of the distance, but neither less
    than its `least_` value.
    """

    steps: int = 200
    starts: int = 3
    blend: float = 0.01
    directions: int = 30
    alpha: float = 0.5
    beta: float = 0.03
    least_beta: float = 1e-3
    tolerance: float = 2e-3
    least_tolerance: float = 2e-4
    focus: float = 0.5
    memory: float = 0.5

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2",)
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        rows, images = blended_start(oracle, seeds, successes=self.starts, tolerance=self.blend)
        theta, distance = polar(images - oracle.images[rows])
        alpha, way = torch.full_like(distance, self.alpha), torch.zeros_like(theta)
        drawn = NOISES
        for number in range(1, self.steps + 1):
            left = oracle.open[rows]
            if not left.any():
                return
            rows, theta, distance, alpha, way = (one[left] for one in (rows, theta, distance, alpha, way))
            count = int(self.directions * math.sqrt(number))
            beta = max(self.beta / math.sqrt(number), self.least_beta)
            tolerance = max(self.tolerance / number, self.least_tolerance)
            new = self.ascent(oracle, rows, theta, distance, seeds[rows], beta, count, drawn)
            way = unit(new + self.memory * unit(beside(way, theta), "l2"), "l2")
            theta, distance, alpha = step_down(oracle, rows, theta, distance, way, alpha, tolerance)
            alpha = alpha.masked_fill(alpha < SMALLEST_STEP, self.alpha)  # nothing is so small that it would gain
            drawn += count

    def ascent(
        self,
        oracle: DecisionOracle,
        rows: Tensor,
        theta: Tensor,
        distance: Tensor,
        seeds: Tensor,
        beta: float,
        directions: int,
        drawn: int,
    ) -> Tensor:
        """(n, ...) of length 1, where g grows, by so many queries; their randomness begins at the draw `drawn`."""
        votes, scale = Votes(theta), 1 - self.focus + self.focus * nearby(theta)
        for first, count in parts(directions, theta):
            owner = torch.arange(len(rows), device=rows.device).repeat_interleave(count)
            draws = (drawn + first + torch.arange(count, device=rows.device)).repeat(len(rows))
            ways = scale[owner] * normal(seeds[owner], draws, theta.shape[1:], dtype=theta.dtype)
            ways = unit(beside(ways, theta[owner]), "l2")
            moved = unit(theta[owner] + beta * ways, "l2")
            votes.add(1 - 2 * reached_at(oracle, rows[owner], moved, distance[owner]).to(theta.dtype), ways)
        return votes.result()


def nearby(theta: Tensor) -> Tensor:
    """How large directions (n, ...) are around each pixel, in units of their root mean square."""
    root = theta.abs() * theta[0].numel() ** 0.5
    return avg_pool2d(root, 3, 1, 1, count_include_pad=False) if theta.ndim == 4 else root


def beside(ways: Tensor, theta: Tensor) -> Tensor:
    """What of ways (n, ...) is orthogonal to directions (n, ...)."""
    return ways - wide((ways * theta).flatten(1).sum(1), ways) * theta


def polar(delta: Tensor) -> tuple[Tensor, Tensor]:
    """Directions and lengths of perturbations."""
    return unit(delta, "l2"), size(delta, "l2")


def step_down(
    oracle: DecisionOracle,
    rows: Tensor,
    theta: Tensor,
    distance: Tensor,
    way: Tensor,
    alpha: Tensor,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Directions, distances and steps after a line search against a way (n, ...) of length 1.

    The step doubles as long as g falls; where it doesn't fall at all, it is halved until it does.
    """
    best, near, alpha = theta.clone(), distance.clone(), alpha.clone()
    fell = torch.zeros_like(rows, dtype=torch.bool)
    for factor in (2.0, 0.5):
        some = (~fell).nonzero()[:, 0]
        step = alpha * min(factor, 1.0)
        for _ in range(TRIES):
            some = some[oracle.open[rows[some]]]
            if len(some) == 0:
                break
            moved = unit(theta[some] - wide(step[some], way[some]) * way[some], "l2")
            nearer = (1 - tolerance) * near[some]
            reached = reached_at(oracle, rows[some], moved, nearer)
            at = some[reached]
            best[at], near[at] = inwards(oracle, rows[at], moved[reached], nearer[reached], tolerance)
            alpha[at], fell[at] = step[at], True
            some = at if factor > 1 else some[~reached]
            step[some] *= factor
    return best, near, torch.where(fell, alpha, step)


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
