"""NES (Ilyas, Engstrom, Athalye, Lin, ICML 2018, arXiv:1804.08598, sections 2.1 and 2.2): scores only.

The gradient is estimated from antithetic pairs of Gaussian probes,

    mean over u of (F(x' + sigma u) - F(x' - sigma u)) / 2 sigma u,

F being the log likelihood that is to rise or fall, and followed as in PGD, with momentum.

Where the oracle tells only the k likeliest classes (its `top_k`) and there is a target, the search begins at an image
of the target, brought within a large distance of the original (Algorithm 2). The distance shrinks step by step to eps.
A step is halved until the target stays among the k; where no step keeps it there, the shrinking is halved.

Deviations: the details are those of the authors' code: 200 steps of 50 probes, a step of 0.01 at an eps of 0.05 that is
halved where the likelihood is worse than at the first of the last five steps, and when and how fast the distance of
Algorithm 2 shrinks. A pair of which one probe isn't told the target's score doesn't count; they take the other probe's
score alone, which says little about the direction. All checks are counted as queries. The usual eps is that of PGD,
0.3; the paper's 0.05 is for ImageNet. L2, of which the paper doesn't speak, takes steepest steps of that norm. Without
a target the likelihood of the label is seen for as long as there is no success, so that `top_k` changes nothing. The
label-only setting is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.line_search import STARTS, parts
from visionadv.configs import BadInput
from visionadv.distances import project, steepest, wide
from visionadv.losses import cross_entropy
from visionadv.noise import normal
from visionadv.oracles import ScoreOracle

SMALLEST_SHRINKING = 2e-3  # of the largest distance; below it there is none


@dataclass(frozen=True)
class Nes:
    """`samples` probes of spread `sigma` a gradient; steps from `step_size` down to `smallest_step`, in units of eps.

    With partial scores, in units of the largest distance: the first is `start`, and it shrinks by up to half of
    `shrinking` at once where the target's log likelihood is above -`threshold`.
    """

    steps: int = 200
    samples: int = 50
    sigma: float = 1e-3
    step_size: float = 0.2
    smallest_step: float = 1e-3
    momentum: float = 0.9
    plateau: int = 5
    start: float = 1.0
    shrinking: float = 0.5
    threshold: float = 0.2

    oracle: ClassVar = ScoreOracle
    norms: ClassVar = ("linf", "l2")
    eps: ClassVar = 0.3
    partial: ClassVar = True

    def run(self, oracle: ScoreOracle, seeds: Tensor) -> None:
        partial = oracle.top_k is not None and oracle.goal.targets is not None
        largest = oracle.images[0].numel() ** (0.5 if oracle.norm == "l2" else 0.0)
        rows, images = self._start(oracle, largest) if partial else (oracle.left(), oracle.images[oracle.left()])
        slope, rate = torch.zeros_like(images), torch.full_like(images.flatten(1)[:, 0], self.step_size * oracle.limit)
        eps = torch.full_like(rate, (self.start * largest) if partial else oracle.limit)
        shrinking = torch.full_like(rate, self.shrinking * largest)
        past = rate.new_zeros(len(rows), self.plateau)
        known = torch.zeros_like(rows)
        for number in range(self.steps):
            value, estimate = self.estimate(oracle, images, rows, seeds[rows], number)
            oracle.close(rows[oracle.found[rows]])
            slope = self.momentum * slope + (1 - self.momentum) * estimate
            past, known = torch.cat([past[:, 1:], value[:, None]], dim=1), known + 1
            worse = (known >= self.plateau) & (past[:, -1] < past[:, 0])
            rate = torch.where(worse, (rate / 2).clamp(min=self.smallest_step * oracle.limit), rate)
            known = known.masked_fill(worse, 0)
            left = oracle.open[rows]
            rows, images, slope, rate, eps = (one[left] for one in (rows, images, slope, rate, eps))
            shrinking, past, known, value = shrinking[left], past[left], known[left], value[left]
            if len(rows) == 0:
                return
            way = steepest(slope, oracle.norm)
            if partial:
                wanted = torch.where((value > -self.threshold) & (eps > oracle.limit), shrinking, 0.0)
                images, shrunk = self._kept(oracle, images, rows, way, rate, eps, wanted, largest)
                shrinking = torch.where(shrunk > 0, shrunk.clamp(min=0.1 * largest), shrinking)
                known = known.masked_fill(shrunk > 0, 0)
                eps = (eps - shrunk / 2).clamp(min=oracle.limit)
            else:
                images = within(oracle, images + wide(rate, way) * way, rows, eps)
                oracle.logits(images, rows)
            oracle.close(rows[oracle.found[rows]])

    def least_budget(self, shape: Sequence[int]) -> int:
        """Queries until a first step is shown, for images of any shape."""
        return 2 + 2 * max(1, self.samples // 2)

    def estimate(
        self, oracle: ScoreOracle, images: Tensor, rows: Tensor, seeds: Tensor, number: int
    ) -> tuple[Tensor, Tensor]:
        """The mean log likelihood (n,) of the probes of step `number`, and the estimate (n, ...) of its gradient."""
        pairs, shape = max(1, self.samples // 2), images.shape[1:]
        slope, told, seen = torch.zeros_like(images), torch.zeros_like(images.flatten(1)[:, 0]), torch.zeros_like(rows)
        for first, count in parts(pairs, images):
            draws = number * pairs + first + torch.arange(count, device=rows.device)
            owner = torch.arange(len(rows), device=rows.device).repeat_interleave(count)
            ways = normal(seeds[owner], draws.repeat(len(rows)), shape, dtype=images.dtype)
            probes = torch.cat([images[owner] + self.sigma * ways, images[owner] - self.sigma * ways])
            of = rows[owner].repeat(2)
            up, down = likelihood(oracle, oracle.logits(probes, of), of).chunk(2)
            both = up.isfinite() & down.isfinite()
            rise = ((up - down) / (2 * self.sigma)).where(both, 0.0)
            slope += (wide(rise, ways) * ways).view(len(rows), count, *shape).sum(1)
            told += (up + down).where(both, 0.0).view(len(rows), count).sum(1) / 2
            seen += both.view(len(rows), count).sum(1)
        value = (told / seen.clamp(min=1)).where(seen > 0, -torch.inf)
        return value, slope / wide(seen.clamp(min=1), slope)

    def _start(self, oracle: ScoreOracle, largest: float) -> tuple[Tensor, Tensor]:
        """Rows (n,) that begin at an image of the `pool`, and this (n, ...), within the first distance."""
        if oracle.pool is None:
            raise BadInput("a targeted search by partial scores begins at images of the target; give some")
        begun = oracle.images.clone()
        pending = oracle.left()
        started = torch.zeros_like(oracle.closed)
        for number in range(min(STARTS, len(oracle.pool))):
            asked = pending[oracle.pool.holds(pending, number)]
            radii = oracle.distance.new_full((len(asked),), self.start * largest)
            images = within(oracle, oracle.pool.take(asked, number), asked, radii)
            seen = told_target(oracle, images, asked)
            begun[asked[seen]], started[asked[seen]] = images[seen], True
            pending = pending[~started[pending] & oracle.open[pending]]
            if len(pending) == 0:
                break
        rows = (started & oracle.open).nonzero()[:, 0]
        return rows, begun[rows]

    def _kept(
        self,
        oracle: ScoreOracle,
        images: Tensor,
        rows: Tensor,
        way: Tensor,
        rate: Tensor,
        eps: Tensor,
        wanted: Tensor,
        largest: float,
    ) -> tuple[Tensor, Tensor]:
        """Images (n, ...) that are still told the target, and the shrinking (n,) that this allowed."""
        images, wanted, step = images.clone(), wanted.clone(), rate.clone()
        shrunk = torch.zeros_like(wanted)
        some = torch.arange(len(rows), device=rows.device)
        while len(some):
            radii = (eps[some] - wanted[some]).clamp(min=oracle.limit)
            tried = within(oracle, images[some] + wide(step[some], way) * way[some], rows[some], radii)
            seen = told_target(oracle, tried, rows[some])
            images[some[seen]], shrunk[some[seen]] = tried[seen], wanted[some[seen]]
            some = some[~seen & oracle.open[rows[some]]]
            step[some] /= 2
            spent = some[step[some] < self.smallest_step * oracle.limit]
            done = spent[wanted[spent] == 0]
            step[spent] = rate[spent]
            wanted[spent] = (wanted[spent] / 2).where(wanted[spent] / 2 >= SMALLEST_SHRINKING * largest, 0.0)
            some = some[~torch.isin(some, done)]
        return images, shrunk


def within(oracle: ScoreOracle, images: Tensor, rows: Tensor, radii: Tensor) -> Tensor:
    """Images (n, ...) brought within radii (n,) of their originals, and into the cube."""
    originals = oracle.images[rows]
    return (originals + project(images - originals, radii, oracle.norm)).clamp(0, 1)


def likelihood(oracle: ScoreOracle, told: Tensor, rows: Tensor) -> Tensor:
    """(n,) what is to rise: as `cross_entropy`; infinite where the class isn't told."""
    if oracle.top_k is None:
        return cross_entropy(told, oracle.goal, rows)
    value = told.gather(1, oracle.goal.aims[rows][:, None])[:, 0]  # a log probability already
    return value if oracle.goal.targets is not None else -value


def told_target(oracle: ScoreOracle, images: Tensor, rows: Tensor) -> Tensor:
    """(n,) whether the target is among the classes that the oracle tells."""
    asked = oracle.open[rows]
    told = oracle.logits(images, rows).gather(1, oracle.goal.aims[rows][:, None])[:, 0]
    return told.isfinite() & asked
