"""Labels drawn from a Dirichlet distribution, each image's by its own luck, with gradients in the concentration.

A Dirichlet variable is a row of gamma variables over their sum. Each of these is drawn by inverse CDF from a number of
`noise`; its derivative in the concentration, that of the inverse CDF at the same number, is an implicit one (Figurnov,
Mohamed, Mnih, NeurIPS 2018, (5)), as in torch.distributions, which takes no generator.
"""

from __future__ import annotations

from typing import Any

import torch
from scipy import special
from torch import Tensor

from visionadv.noise import uniform


def dirichlet(concentration: Tensor, seeds: Tensor, step: int) -> Tensor:
    """(B, K) distributions, of Dirichlet's with concentration (B, K) above 0, for seeds (B,) at a step.

    They have the concentration's dtype, and its gradient comes with theirs.
    """
    drawn = uniform(seeds, step, concentration.shape[1:], dtype=torch.float64)
    gammas: Any = _Gamma.apply(concentration.double(), drawn)
    return (gammas / gammas.sum(1, keepdim=True)).to(concentration.dtype)


class _Gamma(torch.autograd.Function):
    """Gamma variables of concentrations a at the quantiles u."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, u: Tensor) -> Tensor:
        found = torch.from_numpy(special.gammaincinv(a.detach().cpu().numpy(), u.cpu().numpy()))
        found = found.to(a.device).clamp(min=torch.finfo(torch.float64).tiny)
        ctx.save_for_backward(a, found)
        return found

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor, None]:
        a, found = ctx.saved_tensors
        slope = torch._standard_gamma_grad(a, found)  # pyright: ignore[reportPrivateImportUsage]
        return given[0] * slope, None
