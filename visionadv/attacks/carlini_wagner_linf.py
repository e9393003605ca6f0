"""The Linf attack of Carlini and Wagner (S&P 2017, arXiv:1608.04644, section VI.C).

Of the largest difference alone there would be a gradient for a single value, so all are punished that exceed tau:

    minimize  sum_i max(|x'_i - x_i| - tau, 0) + c max(-f(x'), 0),   x' = (tanh(w) + 1) / 2,

by Adam on w; f is the margin. As soon as both terms vanish, tau falls to 0.9 of the largest difference, and Adam begins
anew where it is. If they don't in a number of steps, c doubles, until it is too large. Every image has a tau and a c of
its own, so that all of them take each step together.

What the dissertation calls C&W-Linf within a distance (chapters 4 and 5) is another attack, `Pgd(loss="margin")`.

Deviations: c also doubles when the loss has stopped to fall, as their L2 attack gives up a round, in place of after all
steps only. What the paper leaves open is from the authors' code: the first c and the largest, the number of steps, and
that c isn't made smaller again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.attacks.carlini_wagner_l2 import NEARLY
from visionadv.distances import size, wide
from visionadv.losses import margin_up_to
from visionadv.oracles import GradientOracle

VANISHED = 1e-4  # of c


@dataclass(frozen=True)
class CarliniWagnerLinf:
    """At most `steps` for each c, from `constant` to `largest_constant`; tau falls by `decrease` as far as `least`."""

    steps: int = 1000
    step_size: float = 0.005
    constant: float = 1e-5
    largest_constant: float = 20.0
    decrease: float = 0.9
    least: float = 1 / 256

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("linf",)
    eps: ClassVar = None

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        rows = oracle.left()
        space = torch.atanh((2 * oracle.images[rows] - 1) * NEARLY)
        centre = (space.tanh() + 1) / 2  # what the distance is to
        mean, square = torch.zeros_like(space), torch.zeros_like(space)
        tau, constant = torch.ones_like(oracle.distance[rows]), torch.full_like(oracle.distance[rows], self.constant)
        adam, tried = torch.zeros_like(tau), torch.zeros_like(tau)  # steps since Adam began, and with this c
        before = torch.full_like(tau, torch.inf)  # the lowest loss with this c that was looked at
        every = max(1, self.steps // 10)
        while len(rows):
            images = (space.tanh() + 1) / 2
            values, slopes, logits = oracle.gradient(images, rows, margin_up_to(0.0))
            delta = images - centre
            loss = (delta.abs() - wide(tau, delta)).clamp(min=0).flatten(1).sum(1) - constant * values
            works = oracle.goal.reached(logits.argmax(1), rows) & (loss < VANISHED * constant)
            tau = torch.where(works, self.decrease * torch.minimum(tau, size(delta, "linf")), tau)
            adam, tried = adam.masked_fill(works, 0) + 1, tried.masked_fill(works, 0) + 1
            mean, square = (one.masked_fill(wide(works, one), 0) for one in (mean, square))
            exceeds = delta.sign() * (delta.abs() > wide(tau, delta))
            slope = (
                (exceeds - wide(constant, slopes) * slopes) * 2 * images * (1 - images)
            )  # d x' / d w = 2 x' (1 - x')
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            rate = self.step_size * (1 - 0.999**adam).sqrt() / (1 - 0.9**adam)
            space = space - wide(rate, mean) * mean / (square.sqrt() + 1e-8)
            looked = tried % every == 0
            over = (tried >= self.steps) | (looked & (loss > 0.9999 * before))
            before = torch.where(looked, torch.minimum(before, loss), before).masked_fill(over | works, torch.inf)
            constant, tried = torch.where(over, 2 * constant, constant), tried.masked_fill(over, 0)
            oracle.close(rows[(constant >= self.largest_constant) | (tau <= self.least)])
            left = oracle.open[rows]
            if not left.all():
                rows, space, centre, mean, square = (one[left] for one in (rows, space, centre, mean, square))
                tau, constant, adam, tried, before = (one[left] for one in (tau, constant, adam, tried, before))
