"""OPT (Cheng et al., ICLR 2019, arXiv:1807.04457; the dissertation's Algorithms 2 and 3): decisions only.

The distance to the boundary in the direction theta, g(theta), is descended along a random gradient-free estimate,

    mean over u of (g(theta + beta u) - g(theta)) / beta u,

for which every g is a bisection (the paper's section 3.2). The line search is that of Sign-OPT.

Of Linf the largest value of a perturbation is too rough to be descended. In its place stands what all of its values are
beyond a distance eps, squared (the dissertation's section 2.4.2),

    g(theta) = sum over i of max(lambda |theta_i| - eps, 0)^2,   lambda the distance to the boundary.

Deviations: as in the authors' code there are ten directions u, where the paper has twenty, of norm 1 and with beta
1e-3, where it has 5e-3; and where one of them is nearer than what the line search finds, it is taken. What counts is
the clipped image, which the oracle keeps. Where no distance is given, eps is `share` of the distance that has been
reached, anew in each step, so that the search goes on; the paper's eps is given, and the authors' is 0.15.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.descent import PRECISION, Descent, Measure, around, descend, descents, length
from visionadv.attacks.line_search import local_distance
from visionadv.distances import wide
from visionadv.oracles import DecisionOracle


@dataclass(frozen=True)
class Opt:
    """`directions` u for a gradient, `alpha` the first step, `beta` the smoothing; at most `steps` gradients.

    `stopping`: a search ends when a step gains less. `share`: see above, for Linf.
    """

    steps: int = 1500
    directions: int = 10
    alpha: float = 0.2
    beta: float = 1e-3
    stopping: float = 0.0
    share: float = 0.8

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2", "linf")
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        for search in descents(
            oracle, seeds, steps=self.steps, alpha=self.alpha, beta=self.beta, stopping=self.stopping
        ):
            distance = search.distance
            eps = self.share * distance if oracle.eps is None else torch.full_like(distance, oracle.eps)
            measure = beyond(eps) if oracle.norm == "linf" else length
            slope, probe, probed, value = estimate(search, self.directions, measure)
            descend(search, slope, cut=False, measure=measure)
            nearer = value < measure(search.distance, search.theta, torch.arange(len(value), device=value.device))
            search.theta = probe.where(wide(nearer, probe), search.theta)
            search.distance = probed.where(nearer, search.distance)


def beyond(eps: Tensor) -> Measure:
    """The surrogate of Linf, for distances eps (n,)."""

    def excess(distances: Tensor, directions: Tensor, places: Tensor) -> Tensor:
        over = (wide(distances, directions) * directions.abs() - wide(eps[places], directions)).clamp(min=0)
        return over.square().flatten(1).sum(1).where(distances.isfinite(), torch.inf)

    return excess


def estimate(search: Descent, directions: int, measure: Measure = length) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(n, ...) the estimate of the gradient; the best direction that was probed, its distance (n,) and measure (n,)."""
    owner, ways, moved = around(search, directions, 0, directions, cut=False)
    near = search.distance[owner]
    found = local_distance(search.oracle, search.rows[owner], moved, near, search.beta[owner] / PRECISION)
    value = measure(found, moved, owner)
    rise = (value - measure(near, search.theta[owner], owner)) / search.beta[owner]
    rise = rise.where(found.isfinite(), 0.0)
    many = (len(search.rows), directions, *ways.shape[1:])
    slope = (wide(rise, ways) * ways).view(many).mean(1)
    least, place = value.view(many[:2]).min(1)
    place += directions * torch.arange(len(place), device=place.device)
    return slope, moved[place], found[place], least
