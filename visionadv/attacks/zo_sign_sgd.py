"""ZO-SignSGD (Liu et al., ICLR 2019) with decisions only, as Sign-OPT is compared with (the dissertation's 2.5.0.3).

The slope of g, the distance to the boundary in a direction, is estimated as OPT does, by bisections, or as Sign-OPT
does, a query for each direction ("with the single query oracle"); and of this estimate nothing but the sign of each
value is kept:

    theta <- theta - eta sign(g^).

Deviations: the signs are rescaled to norm 1, as the dissertation says of them, and eta is found by the line search of
the attacks that it is compared with, where Liu et al. fix it. Their setting, in which scores are seen, is not this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from visionadv.attacks.descent import descend, descents
from visionadv.attacks.opt import estimate
from visionadv.attacks.sign_opt import sign_slope
from visionadv.distances import unit
from visionadv.oracles import DecisionOracle


@dataclass(frozen=True)
class ZoSignSgd:
    """`directions` for a slope; 0 for as many as OPT or Sign-OPT take. The others are those of `SignOpt`."""

    steps: int = 1500
    directions: int = 0
    single_query: bool = False
    alpha: float = 0.2
    beta: float = 1e-3
    stopping: float = 0.0

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2",)
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        directions = self.directions or (200 if self.single_query else 10)
        for search in descents(
            oracle, seeds, steps=self.steps, alpha=self.alpha, beta=self.beta, stopping=self.stopping
        ):
            slope = sign_slope(search, directions, cut=False) if self.single_query else estimate(search, directions)[0]
            descend(search, unit(slope.sign(), oracle.norm), cut=False)
