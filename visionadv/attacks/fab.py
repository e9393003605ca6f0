"""FAB (Croce and Hein, ICML 2020, arXiv:1907.02044, Algorithm 1): along the boundary towards the image, by projections.

Each step takes the boundary for a hyperplane, that of the class for which it seems nearest, and projects the present
point x and the original x_0 on it within the cube (4). It goes a little beyond both projections, and mostly stays with
the first:

    x <- (1 - a) (x + eta d) + a (x_0 + eta d_0),   a = min(|d| / (|d| + |d_0|), alpha_max).

A point that succeeds is drawn back to x_0 by a factor beta. At last the line from x_0 to the nearest success is
searched by linear interpolation. FAB-T looks at the boundary to one other class after the other, which needs a single
gradient a step, where the other form needs K.

Deviations: where a class is the goal the boundary is that of the margin, of which the paper doesn't speak. The line is
searched once for all restarts, as in the authors' first code (that of AutoAttack leaves it out), and a little beyond
the estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.box import nearest_in_box
from visionadv.distances import size, unit, wide
from visionadv.goals import Goal, in_turn
from visionadv.noise import normal, uniform
from visionadv.oracles import GradientOracle

RADIUS = {"linf": 0.3, "l2": 1.0, "l1": 5.0}  # that restarts lie in where no distance is given, as in the authors' code
BEYOND = 0.01  # of the rest of the line, so that rounding doesn't decide whether an estimate is a success
VALUES_AT_ONCE = 2**26  # of all gradients of all images
DUAL = {"linf": 1.0, "l2": 2.0, "l1": torch.inf}


@dataclass(frozen=True)
class Fab:
    """`steps` from the image, and from `restarts` - 1 random points around it; `line_steps` on the line at the end.

    `targets`: where any wrong class is a success, the boundaries to so many of the likeliest ones in turn; 0 for the
    nearest of all. `enough`: an image that succeeds within a distance that is given leaves, as in AutoAttack.
    """

    steps: int = 100
    restarts: int = 1
    targets: int = 0
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9
    line_steps: int = 3
    enough: bool = False

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("linf", "l2", "l1")
    eps: ClassVar = None

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        for place, aim in enumerate(in_turn(oracle.goal, oracle.clean, self.targets)):
            classes = oracle.clean.shape[1] if aim.targets is None else 1  # whose gradients are taken
            for restart in range(self.restarts):
                for rows in oracle.left().split(max(1, VALUES_AT_ONCE // (classes * oracle.images.shape[1:].numel()))):
                    images = oracle.images[rows]
                    if restart:
                        images = _around(oracle, rows, seeds[rows], place * self.restarts + restart)
                    self._approach(oracle, rows, images, aim)
        self._search_line(oracle)

    def _approach(self, oracle: GradientOracle, rows: Tensor, images: Tensor, aim: Goal) -> None:
        """All steps from some images of originals `rows`."""
        originals = oracle.images[rows]
        for _ in range(self.steps):
            values, slopes = _hyperplane(oracle, rows, images, aim)
            left = oracle.open[rows]
            rows, originals, images, values, slopes = (one[left] for one in (rows, originals, images, values, slopes))
            if len(rows) == 0:
                return
            both = torch.cat([images, originals])
            gaps = torch.cat([values, values + (slopes * (originals - images)).flatten(1).sum(1)])
            least = torch.finfo(gaps.dtype).eps * slopes.flatten(1).abs().sum(1)
            gaps = gaps.where(gaps != 0, -torch.cat([least, least]))  # a tie is no success yet
            ways = -wide(gaps.sign(), both) * torch.cat([slopes, slopes])
            step, whole = nearest_in_box(both, ways, gaps.abs(), oracle.norm).chunk(2)
            near, far = size(step, oracle.norm), size(whole, oracle.norm)
            share = near / (near + far).clamp(min=torch.finfo(near.dtype).tiny)
            share = wide(share.clamp(max=self.alpha_max), images)
            images = (1 - share) * (images + self.eta * step) + share * (originals + self.eta * whole)
            images = images.clamp(0, 1)
            logits = oracle.logits(images, rows)
            if self.enough:
                oracle.close(rows[oracle.found[rows]])
            reached = oracle.goal.reached(logits.argmax(1), rows)  # at any distance
            images = images.where(~wide(reached, images), originals + self.beta * (images - originals))

    def _search_line(self, oracle: GradientOracle) -> None:
        """Looks for a nearer success between the original and the nearest one."""
        rows = oracle.left()
        rows = rows[oracle.found[rows]]
        if len(rows) == 0 or self.line_steps == 0:
            return
        originals, line = oracle.images[rows], oracle.best[rows] - oracle.images[rows]
        low, high = torch.zeros_like(oracle.distance[rows]), torch.ones_like(oracle.distance[rows])
        below = oracle.goal.margin(oracle.clean[rows], rows)
        above = oracle.goal.margin(oracle.logits(oracle.best[rows], rows), rows)
        for _ in range(self.line_steps):
            share = (-below / (above - below).clamp(min=torch.finfo(low.dtype).tiny)).clamp(0, 1)
            tested = low + (share + BEYOND * (1 - share)) * (high - low)
            logits = oracle.logits(originals + wide(tested, line) * line, rows)
            margin, reached = oracle.goal.margin(logits, rows), oracle.goal.reached(logits.argmax(1), rows)
            low, below = torch.where(reached, low, tested), torch.where(reached, below, margin)
            high, above = torch.where(reached, tested, high), torch.where(reached, margin, above)


def _hyperplane(oracle: GradientOracle, rows: Tensor, images: Tensor, aim: Goal) -> tuple[Tensor, Tensor]:
    """Values (n,) and gradients (n, ...) of a difference of logits that is 0 at the boundary."""
    goal = oracle.goal
    if aim.targets is not None:

        def difference(logits: Tensor, goal: Goal, rows: Tensor) -> Tensor:
            if goal.targets is not None:
                return goal.margin(logits, rows)
            return logits.gather(1, aim.aims[rows, None])[:, 0] - logits.gather(1, aim.labels[rows, None])[:, 0]

        values, slopes, _ = oracle.gradient(images, rows, difference)
        return values, slopes
    classes = torch.arange(oracle.clean.shape[1], device=rows.device).expand(len(rows), -1)
    logits, slopes = oracle.jacobian(images, rows, classes)
    everyone, labels = torch.arange(len(rows), device=rows.device), goal.labels[rows]
    gaps = logits - logits[everyone, labels, None]
    slopes = slopes - slopes[everyone, labels, None]
    dual = torch.linalg.vector_norm(slopes.flatten(2), DUAL[oracle.norm], dim=2)
    distances = gaps.abs() / dual.clamp(min=torch.finfo(dual.dtype).tiny)
    nearest = distances.scatter(1, labels[:, None], torch.inf).argmin(1)
    return gaps[everyone, nearest], slopes[everyone, nearest]


def _around(oracle: GradientOracle, rows: Tensor, seeds: Tensor, number: int) -> Tensor:
    """(n, ...) random points at half the distance of the nearest success so far, or of the radius that is looked at."""
    originals = oracle.images[rows]
    shape, dtype = originals.shape[1:], originals.dtype
    way = 2 * uniform(seeds, number, shape, dtype=dtype) - 1
    if oracle.norm != "linf":
        way = normal(seeds, number, shape, dtype=dtype)
    radius = oracle.distance[rows].clamp(max=RADIUS[oracle.norm] if oracle.eps is None else oracle.eps) / 2
    return (originals + wide(radius, way) * unit(way, oracle.norm)).clamp(0, 1)
