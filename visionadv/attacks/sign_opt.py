"""Sign-OPT (Cheng et al., ICLR 2020, arXiv:1909.10773; the dissertation's Algorithm 4): decisions only.

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

from visionadv.attacks.descent import Descent, around, descend, descents, rises
from visionadv.attacks.line_search import START_TOLERANCE, parts
from visionadv.distances import wide
from visionadv.oracles import DecisionOracle


@dataclass(frozen=True)
class SignOpt:
    """`directions` u for a gradient, `alpha` the first step, `beta` the smoothing; at most `steps` gradients.

    `stopping`: a search ends when a step gains less. `start_tolerance`: what bisections of the first directions leave;
    1e-3 in the authors' later code. `cut`: of Linf, values of a direction beyond 1 are cut off; else all are rescaled,
    as in the authors' code.
    """

    steps: int = 1000
    directions: int = 200
    alpha: float = 0.2
    beta: float = 1e-3
    stopping: float = 0.0
    start_tolerance: float = START_TOLERANCE
    cut: bool = True

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2", "linf")
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        how = {"steps": self.steps, "alpha": self.alpha, "beta": self.beta, "stopping": self.stopping}
        for search in descents(oracle, seeds, **how, start_tolerance=self.start_tolerance):
            descend(search, sign_slope(search, self.directions, self.cut), cut=self.cut)


def sign_slope(search: Descent, directions: int, cut: bool) -> Tensor:
    """(n, ...) the estimate of the gradient of g, by as many queries as there are directions."""
    total = torch.zeros_like(search.theta)
    for first, count in parts(directions, search.theta):
        owner, ways, moved = around(search, directions, first, count, cut)
        signs = rises(search, owner, moved)
        total += (wide(signs, ways) * ways).view(len(total), count, *total.shape[1:]).sum(1)
    return total / directions
