"""The Boundary attack (Brendel, Rauber, Bethge, ICLR 2018, arXiv:1712.04248, Algorithm 1): decisions only, L2.

A walk along the boundary, from a success far away. Each step draws a random direction, goes along the sphere around the
original (the orthogonal step, a share of the distance), and then a share of the distance towards the original; where
that is a success, the walk goes on from there. Both shares are those of the image: the first grows as long as more than
half of the orthogonal steps succeed, and shrinks where few do, the second does so by the whole steps.

Deviations: the paper says that both are adapted, not how. As in the authors' code (Foolbox), every tenth step the point
on the sphere is shown, too, and the last 100 of these answers and the last 30 about the whole step decide: above 1/2
both shares grow by half, below 1/5 they shrink; above 1/4 of the whole steps the second grows, below 1/10 it shrinks.
The paper begins at noise; here, as in that code, at the boundary between the noise and the original, which is found by
a bisection in place of a thousand steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.line_search import NOISES, blended_start
from visionadv.distances import size, unit, wide
from visionadv.noise import normal
from visionadv.oracles import DecisionOracle


@dataclass(frozen=True)
class Boundary:
    """`orthogonal` and `inwards` are the first shares; a walk ends when the second is below `smallest`.

    `every` so many steps the point on the sphere is shown; `sphere_window` and `step_window` answers are remembered.
    """

    steps: int = 25000
    orthogonal: float = 0.01
    inwards: float = 0.01
    adaptation: float = 1.5
    smallest: float = 1e-7
    every: int = 10
    sphere_window: int = 100
    step_window: int = 30

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2",)
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        rows, images = blended_start(oracle, seeds)
        orthogonal = torch.full_like(oracle.distance, self.orthogonal)
        inwards = torch.full_like(oracle.distance, self.inwards)
        on_sphere, on_step = Answers(oracle, self.sphere_window), Answers(oracle, self.step_window)
        for number in range(self.steps):
            left = oracle.open[rows]
            if not left.any():
                return
            rows, images = rows[left], images[left]
            originals = oracle.images[rows]
            noise = normal(seeds[rows], NOISES + number, images.shape[1:], dtype=images.dtype)
            sphere = along_sphere(originals, images, noise, orthogonal[rows])
            distance = size(images - originals, "l2")
            tried = closer(originals, sphere, (1 - inwards[rows]) * distance)
            nearer = oracle.reached(tried, rows)
            if number % self.every == 0:
                on_sphere.add(rows, oracle.reached(sphere, rows))
                on_step.add(rows, nearer)
                easy, hard = on_sphere.beyond(rows, 0.5, 0.2)
                orthogonal[rows[easy]] *= self.adaptation
                orthogonal[rows[hard]] /= self.adaptation
                for grows, shrinks in ((easy, hard), on_step.beyond(rows, 0.25, 0.1)):
                    inwards[rows[grows]] *= self.adaptation
                    inwards[rows[shrinks]] /= self.adaptation
                oracle.close(rows[inwards[rows] < self.smallest])
            images = tried.where(wide(nearer, tried), images)


def along_sphere(originals: Tensor, images: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """Images (n, ...) at the same distance, a share (n,) of it aside in a random direction; then clipped."""
    delta = images - originals
    out = unit(delta, "l2")
    aside = noise - wide((noise * out).flatten(1).sum(1), out) * out
    moved = delta + wide(share * size(delta, "l2"), aside) * unit(aside, "l2")
    return (originals + moved / wide((1 + share.square()).sqrt(), moved)).clamp(0, 1)


def closer(originals: Tensor, images: Tensor, distance: Tensor) -> Tensor:
    """Images (n, ...) at most so far (n,) from their originals, on the way to them."""
    delta = images - originals
    length = size(delta, "l2").clamp(min=torch.finfo(delta.dtype).tiny)
    return originals + wide((distance / length).clamp(max=1), delta) * delta


class Answers:
    """The last so many answers about each image."""

    def __init__(self, oracle: DecisionOracle, window: int) -> None:
        self.last = torch.zeros(len(oracle.queries), window, dtype=torch.bool, device=oracle.queries.device)
        self.count = torch.zeros_like(oracle.queries)

    def add(self, rows: Tensor, answers: Tensor) -> None:
        """One more (n,) about each image of `rows` (n,)."""
        self.last[rows, self.count[rows] % self.last.shape[1]] = answers
        self.count[rows] += 1

    def beyond(self, rows: Tensor, above: float, below: float) -> tuple[Tensor, Tensor]:
        """(n,) where the share of successes is above, or below; what is told of is forgotten."""
        full = self.count[rows] >= self.last.shape[1]
        share = self.last[rows].double().mean(1)
        high, low = full & (share > above), full & (share < below)
        self.count[rows[high | low]] = 0
        return high, low
