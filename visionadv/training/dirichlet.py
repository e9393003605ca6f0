"""Labels drawn from a Dirichlet distribution, each image's by its own luck, with gradients in the concentration.

A Dirichlet variable is a row of gamma variables over their sum. Each of these is drawn by inverse CDF from a number of
`noise`; its derivative in the concentration, that of the inverse CDF at the same number, is an implicit one (Figurnov,
Mohamed, Mnih, NeurIPS 2018, (5)), as in torch.distributions, which takes no generator.

Most variables of a small concentration a are next to nothing, and there the CDF is x^a / Gamma(a + 1), whose inverse is
x = (u Gamma(a + 1))^(1 / a). It is taken below `TINY`, where it is off by less than a billionth of x; the rest are
inverted by scipy, many times as slowly.
"""

from __future__ import annotations

from typing import Any

import torch
from scipy import special
from torch import Tensor

from visionadv.noise import uniform

TINY = 1e-5


def dirichlet(concentration: Tensor, seeds: Tensor, step: int) -> Tensor:
    """(B, K) distributions, of Dirichlet's with concentration (B, K) above 0, for seeds (B,) at a step.

    They have the concentration's dtype, and its gradient comes with theirs.
    """
    drawn = uniform(seeds, step, concentration.shape[1:], dtype=torch.float64)
    gammas: Any = _Gamma.apply(concentration.double(), drawn)
    return (gammas / gammas.sum(1, keepdim=True)).to(concentration.dtype)


class _Gamma(torch.autograd.Function):
    """Gamma variables of concentrations a at the quantiles u, and their derivatives in a."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, u: Tensor) -> Tensor:
        scaled = u.log() + torch.lgamma(a + 1)  # of x^a
        found = (scaled / a).exp()
        found = found * (1 + found / (1 + a))  # the next term of the series
        slope = found * (torch.digamma(a + 1) - scaled / a) / a
        large = found > TINY
        if large.any():
            some, where = a[large], u[large]
            exact = torch.from_numpy(special.gammaincinv(some.cpu().numpy(), where.cpu().numpy())).to(a.device)
            found[large] = exact
            slope[large] = torch._standard_gamma_grad(some, exact)  # pyright: ignore[reportPrivateImportUsage]
        ctx.save_for_backward(slope)
        return found.clamp(min=torch.finfo(torch.float64).tiny)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return given[0] * slope, None
