"""HopSkipJump (Chen, Jordan, Wainwright, S&P 2020, arXiv:1904.02144, Algorithms 1 and 2): decisions only.

Each step begins at a success near the boundary. Random vectors u of length 1 tell on which side of it the points around
lie, phi = 1 for a success and -1 else, and from these comes the direction to go:

    mean over u of (phi(x + delta u) - mean of phi) u.

A step along it is halved until it ends in a success, and from there a bisection goes back to the boundary, towards the
original. delta shrinks with the distance, and the number of vectors grows with the root of the number of steps.

Deviations: as in the authors' code, vectors are those from x to the clipped points, and where all answers are the same
they aren't centred. The 64 steps are about 35,000 queries; the paper goes on until its budget is spent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.line_search import NOISES, blended_start, parts
from visionadv.distances import size, unit, wide
from visionadv.noise import normal, uniform
from visionadv.oracles import DecisionOracle

FIRST_RADIUS = 0.1  # delta of the first step, in units of the range of values


@dataclass(frozen=True)
class HopSkipJump:
    """`vectors` in the first step, at most `most_vectors` later; `gamma` scales what bisections leave open."""

    steps: int = 64
    vectors: int = 100
    most_vectors: int = 10000
    gamma: float = 1.0

    oracle: ClassVar = DecisionOracle
    norms: ClassVar = ("l2", "linf")
    eps: ClassVar = None

    def run(self, oracle: DecisionOracle, seeds: Tensor) -> None:
        rows, images = blended_start(oracle, seeds)
        dimension = oracle.images[0].numel()
        tolerance = self.gamma / dimension ** (1.5 if oracle.norm == "l2" else 2.0)
        share = tolerance * dimension ** (0.5 if oracle.norm == "l2" else 1.0)  # of a distance, for delta
        images, before = self.onto_boundary(oracle, rows, images, tolerance)
        drawn = NOISES
        for number in range(1, self.steps + 1):
            left = oracle.open[rows]
            if not left.any():
                return
            rows, images, before = rows[left], images[left], before[left]
            radius = torch.full_like(before, FIRST_RADIUS) if number == 1 else share * before
            count = min(int(self.vectors * math.sqrt(number)), self.most_vectors)
            way = direction(oracle, rows, images, radius, seeds[rows], count, drawn)
            drawn += count
            if oracle.norm == "linf":
                way = way.sign()
            step = size(images - oracle.images[rows], oracle.norm) / math.sqrt(number)
            images = jump(oracle, rows, images, way, step)
            images, before = self.onto_boundary(oracle, rows, images, tolerance)

    def onto_boundary(
        self, oracle: DecisionOracle, rows: Tensor, images: Tensor, tolerance: float
    ) -> tuple[Tensor, Tensor]:
        """Successes (n, ...) between those given and their originals; how far away (n,) the given ones were."""
        originals = oracle.images[rows]
        before = size(images - originals, oracle.norm)
        low, high = torch.zeros_like(before), torch.ones_like(before) if oracle.norm == "l2" else before.clone()
        enough = torch.full_like(before, tolerance) if oracle.norm == "l2" else tolerance * before.clamp(max=1)
        while True:
            middle = (low + high) / 2
            wider = (high - low > enough) & (low < middle) & (middle < high)  # as short as numbers can be
            some = (wider & oracle.open[rows]).nonzero()[:, 0]
            if len(some) == 0:
                return between(originals, images, high, oracle.norm), before
            middle = middle[some]
            reached = oracle.reached(between(originals[some], images[some], middle, oracle.norm), rows[some])
            high[some] = torch.where(reached, middle, high[some])
            low[some] = torch.where(reached, low[some], middle)


def between(originals: Tensor, images: Tensor, amount: Tensor, norm: str) -> Tensor:
    """Images on the way to their originals: of L2 a blend, of Linf what is within a distance."""
    delta, amounts = images - originals, wide(amount, images)
    return originals + (amounts * delta if norm == "l2" else delta.clamp(-amounts, amounts))


def direction(
    oracle: DecisionOracle, rows: Tensor, images: Tensor, radius: Tensor, seeds: Tensor, vectors: int, drawn: int
) -> Tensor:
    """(n, ...) of length 1, the estimate from so many `vectors`, whose randomness begins at the draw `drawn`."""
    votes, shape = Votes(images), images.shape[1:]
    for first, count in parts(vectors, images):
        owner = torch.arange(len(rows), device=rows.device).repeat_interleave(count)
        draws = (drawn + first + torch.arange(count, device=rows.device)).repeat(len(rows))
        if oracle.norm == "l2":
            ways = normal(seeds[owner], draws, shape, dtype=images.dtype)
        else:
            ways = 2 * uniform(seeds[owner], draws, shape, dtype=images.dtype) - 1
        around = (images[owner] + wide(radius[owner], ways) * unit(ways, "l2")).clamp(0, 1)
        answers = 2 * oracle.reached(around, rows[owner]).to(images.dtype) - 1
        votes.add(answers, (around - images[owner]) / wide(radius[owner], ways))
    return votes.result()


class Votes:
    """For each of n images, answers of 1 and -1 about vectors: the mean of (answer - mean of answers) vector."""

    def __init__(self, like: Tensor) -> None:
        self.total, self.signed = torch.zeros_like(like), torch.zeros_like(like)
        self.balance, self.count = like.new_zeros(len(like)), 0

    def add(self, answers: Tensor, vectors: Tensor) -> None:
        """As many answers (n * count,) about vectors (n * count, ...) for each image, which follow one another."""
        answers, vectors = answers.view(len(self.total), -1), vectors.view(len(self.total), -1, *self.total.shape[1:])
        self.total += vectors.sum(1)
        self.signed += (answers.view(*answers.shape, *[1] * (vectors.ndim - 2)) * vectors).sum(1)
        self.balance += answers.sum(1)
        self.count += answers.shape[1]

    def result(self) -> Tensor:
        """(n, ...) of length 1; not centred where all answers are the same."""
        mean = self.balance / self.count
        return unit(self.signed - wide(mean.where(mean.abs() < 1, 0.0), self.total) * self.total, "l2")


def jump(oracle: DecisionOracle, rows: Tensor, images: Tensor, way: Tensor, step: Tensor) -> Tensor:
    """(n, ...) successes after a step, halved until it is one; the images themselves where none is found."""
    after, step = images.clone(), step.clone()
    some = torch.arange(len(rows), device=rows.device)
    while len(some := some[oracle.open[rows[some]] & (step[some] > torch.finfo(step.dtype).eps)]):
        tried = (images[some] + wide(step[some], way[some]) * way[some]).clamp(0, 1)
        reached = oracle.reached(tried, rows[some])
        after[some[reached]] = tried[reached]
        some = some[~reached]
        step[some] /= 2
    return after
