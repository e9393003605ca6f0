"""Labels drawn from a Dirichlet distribution, with gradients in the concentration.

A Dirichlet variable is a row of gamma variables over their sum. These are torch's, as in `torch.distributions`, whose
gradients are implicit ones (Figurnov, Mohamed, Mnih, NeurIPS 2018, (5)); but it takes no generator. What is drawn
depends on the first image of the batch, on the step and on the kind of device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from visionadv.noise import below


def dirichlet(concentration: Tensor, seeds: Tensor, step: int) -> Tensor:
    """(B, K) distributions, of Dirichlet's with concentration (B, K) above 0, for seeds (B,) on the CPU, at a step.

    They have the concentration's dtype, and its gradient comes with theirs.
    """
    generator = torch.Generator(concentration.device).manual_seed(int(below(seeds[:1], step, 2**53)))
    gammas = torch._standard_gamma(concentration.double(), generator=generator)  # pyright: ignore[reportPrivateImportUsage]
    return (gammas / gammas.sum(1, keepdim=True)).to(concentration.dtype)
