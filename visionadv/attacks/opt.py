"""OPT (Cheng et al., ICLR 2019, arXiv:1807.04457; the dissertation's Algorithm 1): decisions only.

The distance to the boundary in the direction theta, g(theta), is descended along a random gradient-free estimate,

    mean over u of (g(theta + beta u) - g(theta)) / beta u,

for which every g is a bisection (the paper's section 3.2). The line search is that of Sign-OPT.

Deviations: as in the authors' code there are ten directions u, where the paper has twenty, of norm 1 and with beta
1e-3, where it has 5e-3; and where one of them is nearer than what the line search finds, it is taken. What counts is
the clipped image, which the oracle keeps. Linf, for which the paper descends a smooth surrogate, is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.line_search import STARTS, local_distance, start, unit, wide
from visionadv.attacks.sign_opt import PRECISION, SMALLEST_BETA, SMALLEST_STEP, descend
from visionadv.noise import normal
from visionadv.oracles import DecisionOracle


@dataclass(frozen=True)
class Opt:
    """`directions` u for a gradient, `alpha` the first step, `beta` the smoothing; at most `steps` gradients."""

    steps: int = 1500
    directions: int = 10
    alpha: float = 0.2
    beta: float = 1e-3

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2",)
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        rows, theta, distance = start(oracle, seeds)
        alpha, beta = torch.full_like(distance, self.alpha), torch.full_like(distance, self.beta)
        for number in range(self.steps):
            left = oracle.open[rows]
            if not left.any():
                return
            rows, theta, distance, alpha, beta = (one[left] for one in (rows, theta, distance, alpha, beta))
            slope, probe, probed = self.slope(oracle, rows, theta, distance, beta, seeds[rows], number)
            theta, distance, alpha = descend(oracle, rows, theta, distance, slope, alpha, beta, cut=False)
            nearer = probed < distance
            theta, distance = probe.where(wide(nearer, theta), theta), torch.minimum(probed, distance)
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
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(n, ...) the estimate of the gradient of g; the nearest direction that was probed, and its g (n,)."""
        count, shape = self.directions, theta.shape[1:]
        owner = torch.arange(len(rows), device=rows.device).repeat_interleave(count)
        draws = STARTS + number * count + torch.arange(count, device=rows.device)
        ways = unit(normal(seeds[owner], draws.repeat(len(rows)), shape, dtype=theta.dtype), oracle.norm)
        moved = unit(theta[owner] + wide(beta[owner], ways) * ways, oracle.norm)
        found = local_distance(oracle, rows[owner], moved, distance[owner], beta[owner] / PRECISION)
        rise = ((found - distance[owner]) / beta[owner]).where(found.isfinite(), 0.0)
        slope = (wide(rise, ways) * ways).view(len(rows), count, *shape).mean(1)
        probed, nearest = found.view(len(rows), count).min(1)
        return slope, moved.view(len(rows), count, *shape)[torch.arange(len(rows), device=rows.device), nearest], probed
