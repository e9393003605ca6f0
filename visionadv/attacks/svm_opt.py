"""SVM-OPT (Cheng et al., ICLR 2020, arXiv:1909.10773; the dissertation's Algorithm 5): decisions only.

Sign-OPT with another estimate of the slope of g. Each query tells on which side of a plane through 0 the gradient lies,
y = sign(g(theta + beta u) - g(theta)) = sign(u' z); the estimate is the shortest z that agrees with all of them, which
is a support vector machine without slack (2.19):

    minimize z'z   subject to   y_q u_q' z >= 1 for all q.

Its dual, to minimize a'Qa / 2 - 1'a over a >= 0 with Q = X'X and X = (y_q u_q), is descended by the coordinate that
changes most at a time, and z = Xa.

Deviations: a hundred directions, as in the authors' code; the paper doesn't say how many. The constraint of (2.19) is
printed as u_q' z >= y_q, which asks next to nothing where y_q is -1; the code does what is written above. The log of
the authors' runs ended a search when a step gained less than 1e-4, which is `stopping`. What counts is the clipped
image, which the oracle keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from visionadv.attacks.descent import Descent, around, descend, descents, rises
from visionadv.distances import wide
from visionadv.oracles import DecisionOracle

SMALLEST_CHANGE = 1e-7  # of a coordinate
LOOK = 64  # updates from one look at whether all are done to the next
VALUES_AT_ONCE = 2**25  # of the directions of all images whose planes are fitted together


@dataclass(frozen=True)
class SvmOpt:
    """`updates` of a coordinate for a slope at most; the others are those of `SignOpt`."""

    steps: int = 1000
    directions: int = 100
    updates: int = 20000
    alpha: float = 0.2
    beta: float = 1e-3
    stopping: float = 0.0

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2",)
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        for search in descents(
            oracle, seeds, steps=self.steps, alpha=self.alpha, beta=self.beta, stopping=self.stopping
        ):
            descend(search, self.slope(search), cut=False)

    def slope(self, search: Descent) -> Tensor:
        """(n, ...) the estimate of the gradient of g, by as many queries as there are directions."""
        most = max(1, VALUES_AT_ONCE // (self.directions * search.theta[0].numel()))
        return torch.cat([self._slope(part) for part in search.parts(most)])

    def _slope(self, search: Descent) -> Tensor:
        """As `slope`, of few images."""
        owner, ways, moved = around(search, self.directions, 0, self.directions, cut=False)
        signed = wide(rises(search, owner, moved), ways) * ways
        points = signed.view(len(search.rows), self.directions, -1)
        return separate(points, self.updates).view_as(search.theta)


def separate(points: Tensor, updates: int) -> Tensor:
    """(n, D) the shortest z with x'z >= 1 for all K points x of each row of (n, K, D).

    Points are scaled to norm 1, so that Q has ones on its diagonal and an update of a coordinate divides by nothing. A
    fit takes thousands of them, each so small that new tensors would cost more than what is computed.
    """
    sizes = torch.linalg.vector_norm(points, dim=2, keepdim=True)
    points = points / sizes
    with torch.autocast(points.device.type, enabled=False):  # else it would be of 16 bits
        gram = (points @ points.transpose(1, 2)).flatten(0, 1)  # (n K, K)
    weights, slope = points.new_zeros(points.shape[:2]), -1 / sizes[..., 0]  # a, and Qa - 1 / sizes
    first = torch.arange(weights.numel(), device=points.device)[:: weights.shape[1]]
    falls, amounts, row = (torch.empty_like(weights) for _ in range(3))
    for number in range(updates):
        torch.minimum(weights, slope, out=falls)  # of each coordinate, if it were the one
        place = torch.abs(falls, out=amounts).argmax(1).add_(first)
        fall = nn.functional.hardshrink(falls.flatten().index_select(0, place), SMALLEST_CHANGE)  # 0 for who is done
        if number % LOOK == 0 and not fall.any():
            break
        weights.view(-1).index_add_(0, place, fall, alpha=-1)
        slope.addcmul_(torch.index_select(gram, 0, place, out=row), fall[:, None], value=-1)
    return (weights[:, None] @ points)[:, 0]
