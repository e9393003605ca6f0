"""The boundary-gradient attack (Hein and Andriushchenko, NeurIPS 2017, arXiv:1705.08475, section 4).

The victim is taken to be linear around the image. For each other class j, the smallest step within the cube that makes
up for its distance to the decision c,

    minimize |delta|_p   such that   <grad f_j - grad f_c, delta> >= f_c - f_j,   0 <= x + delta <= 1,

has a closed form (see `box`). Because no victim is quite linear, the right side is multiplied by a factor: it
doubles from 1 until the step succeeds, and is bisected then; the nearest of all classes counts. One gradient for each
class is all that is asked for, and the rest are decisions.

Deviations: the doubling and the number of bisections are ours. Beside L2, Linf and L1 are solved. Of many classes only
the likeliest are looked at, as in DeepFool, and with a target that class alone. A class is given up where even the end
of its bracket that failed is farther than what was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.box import nearest_in_box, reach
from visionadv.distances import size
from visionadv.oracles import GradientOracle

FIRST = 1 + 1e-4  # factor: at 1 a linear victim is undecided, and rounding would choose


@dataclass(frozen=True)
class Bg:
    """`candidates` classes are looked at, the likeliest first; the factor is bisected `bisections` times."""

    candidates: int = 10
    bisections: int = 20

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("l2", "linf", "l1")
    eps: ClassVar = None

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        rows = oracle.left()
        decided = oracle.clean[rows].argmax(1, keepdim=True)
        if oracle.goal.targets is None:
            others = oracle.clean[rows].scatter(1, decided, -torch.inf)
            others = others.topk(min(self.candidates, others.shape[1]) - 1, dim=1).indices
        else:
            others = oracle.goal.targets[rows][:, None]
        logits, slopes = oracle.jacobian(oracle.images[rows], rows, torch.cat([decided, others], dim=1))
        owner = torch.arange(len(rows), device=rows.device).repeat_interleave(others.shape[1])
        weights = (slopes[:, 1:] - slopes[:, :1]).flatten(0, 1)  # (n (C - 1), ...)
        scale = logits.abs().amax(1, keepdim=True)
        least = torch.finfo(logits.dtype).eps * scale.where(scale > 0, 1.0)  # where two classes tie
        gaps = torch.maximum(logits.gather(1, decided) - logits.gather(1, others), least).flatten()
        self._along(oracle, rows[owner], weights, gaps)

    def _along(self, oracle: GradientOracle, rows: Tensor, weights: Tensor, gaps: Tensor) -> None:
        """Looks for the smallest factors, of classes with these weights (m, ...) and gaps (m,)."""
        most = reach(oracle.images[rows], weights)
        low, high = torch.zeros_like(gaps), torch.full_like(gaps, torch.inf)
        factor = torch.full_like(gaps, FIRST)
        left = torch.full_like(gaps, self.bisections, dtype=torch.long)
        some = oracle.open[rows].nonzero()[:, 0]
        while len(some):
            at, way, gap = rows[some], weights[some], gaps[some]
            images = oracle.images[at]
            tried = factor[some]
            reached = oracle.reached(images + nearest_in_box(images, way, tried * gap, oracle.norm), at)
            high[some] = torch.where(reached, tried, high[some])
            low[some] = torch.where(reached, low[some], tried)
            held = high[some].isfinite()
            left[some] -= held.long()
            factor[some] = torch.where(held, (low[some] + high[some]) / 2, 2 * tried)
            failed = size(nearest_in_box(images, way, low[some] * gap, oracle.norm), oracle.norm)
            corner = ~held & (tried * gap >= most[some])  # nothing more to be gained
            some = some[(left[some] > 0) & ~corner & (failed < oracle.distance[at]) & oracle.open[at]]
            some = some[factor[some].isfinite()]
