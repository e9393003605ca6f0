"""Sign-OPT (Cheng et al., ICLR 2020, arXiv:1909.10773; the dissertation's Algorithm 2): decisions only.

g(theta) is the distance to the boundary in the direction theta. Its gradient is estimated by single queries: whether
the goal is reached at the distance g(theta) in a direction theta + beta u says on which side g(theta + beta u) lies:

    mean over u of sign(g(theta + beta u) - g(theta)) u,

and theta goes against it as long as g falls. All line searches have a bracket for each image, so that the victim sees
full batches.

Deviations: what counts is the clipped image, which the oracle keeps. Of Linf, a direction whose largest values are 1 is
made smaller as a whole by rescaling when u is added; so g seems to grow whatever u is, and the search ends far from the
smallest distance, on linear victims too. Cutting off what is beyond 1 mends that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.line_search import STARTS, local_distance, start, unit, wide
from visionadv.noise import normal
from visionadv.oracles import DecisionOracle

TRIES = 15  # steps of a line search, in either direction
AT_ONCE = 50  # directions of an image
SMALLEST_STEP = {"l2": 1e-4, "linf": 1e-6}
SMALLEST_BETA = 1e-8
PRECISION = 500  # a distance is known to beta / 500


@dataclass(frozen=True)
class SignOpt:
    """`directions` u for a gradient, `alpha` the first step, `beta` the smoothing; at most `steps` gradients.

    `cut`: of Linf, values of a direction beyond 1 are cut off; else all are rescaled, as in the authors' code.
    """

    steps: int = 1000
    directions: int = 200
    alpha: float = 0.2
    beta: float = 1e-3
    cut: bool = True

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2", "linf")
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        rows, theta, distance = start(oracle, seeds)
        alpha, beta = torch.full_like(distance, self.alpha), torch.full_like(distance, self.beta)
        for number in range(self.steps):
            left = oracle.open[rows]
            if not left.any():
                return
            rows, theta, distance, alpha, beta = (one[left] for one in (rows, theta, distance, alpha, beta))
            slope = self.slope(oracle, rows, theta, distance, beta, seeds[rows], number)
            theta, distance, alpha = descend(oracle, rows, theta, distance, slope, alpha, beta, self.cut)
            stuck = alpha < SMALLEST_STEP[oracle.norm]
            alpha, beta = alpha.masked_fill(stuck, 1.0), torch.where(stuck, beta * 0.1, beta)
            oracle.close(rows[beta < SMALLEST_BETA])

    def slope(
        self,
        oracle: DecisionOracle,
        rows: Tensor,
        theta: Tensor,
        distance: Tensor,
        beta: Tensor,
        seeds: Tensor,
        number: int,
    ) -> Tensor:
        """(n, ...) the estimate of the gradient of g, in step `number`: `directions` queries."""
        total, shape = torch.zeros_like(theta), theta.shape[1:]
        for first in range(0, self.directions, AT_ONCE):
            count = min(AT_ONCE, self.directions - first)
            draws = STARTS + number * self.directions + first + torch.arange(count, device=rows.device)
            owner = torch.arange(len(rows), device=rows.device).repeat_interleave(count)
            ways = unit(normal(seeds[owner], draws.repeat(len(rows)), shape, dtype=theta.dtype), oracle.norm)
            moved = onto_sphere(theta[owner] + wide(beta[owner], ways) * ways, oracle.norm, self.cut)
            images = oracle.images[rows[owner]] + wide(distance[owner], moved) * moved
            sign = 1 - 2 * oracle.reached(images, rows[owner]).to(theta.dtype)
            total += (wide(sign, ways) * ways).view(len(rows), count, *shape).sum(1)
        return total / self.directions


def onto_sphere(directions: Tensor, norm: str, cut: bool) -> Tensor:
    """Directions of norm 1 near these."""
    return unit(directions.clamp(-1, 1) if cut and norm == "linf" else directions, norm)


def descend(
    oracle: DecisionOracle,
    rows: Tensor,
    theta: Tensor,
    distance: Tensor,
    slope: Tensor,
    alpha: Tensor,
    beta: Tensor,
    cut: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Directions, distances and steps after a line search: the step doubles as long as g falls, or is quartered."""
    best, near, alpha = theta.clone(), distance.clone(), alpha.clone()

    def attempt(some: Tensor) -> tuple[Tensor, Tensor]:
        moved = theta[some] - wide(alpha[some], slope[some]) * slope[some]
        moved = onto_sphere(moved, oracle.norm, cut)
        return moved, local_distance(oracle, rows[some], moved, near[some], beta[some] / PRECISION)

    some = torch.arange(len(rows), device=rows.device)
    for _ in range(TRIES):
        moved, found = attempt(some)
        alpha[some] *= 2
        nearer = found < near[some]
        some, moved, found = some[nearer], moved[nearer], found[nearer]
        if len(some) == 0:
            break
        best[some], near[some] = moved, found
    some = (near >= distance).nonzero()[:, 0]
    for _ in range(TRIES):
        some = some[oracle.open[rows[some]]]
        if len(some) == 0:
            break
        alpha[some] *= 0.25
        moved, found = attempt(some)
        nearer = found < near[some]
        best[some[nearer]], near[some[nearer]] = moved[nearer], found[nearer]
        some = some[~nearer]
    return best, near, alpha
