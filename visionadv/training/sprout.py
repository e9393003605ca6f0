"""SPROUT (Cheng et al., AAAI 2021, arXiv:2006.14024; section 5.3 and Algorithm 9 of Cheng's dissertation).

Labels are drawn from a Dirichlet distribution, y~ = Dirichlet((1 - alpha) y + alpha beta), whose beta learns to make
them as hard as it can (5.6), by ascent along the gradient that comes with the weights' (no pass of its own). With it go
Gaussian augmentation and Mixup. Each of the three can be switched off; without any it is natural training.

Text and code differ. Algorithm 9 has alpha and 1 - alpha the other way round than (5.6) and Table 5.1, which is what is
done here. The authors' code draws from Dirichlet(10 y + beta) (`alpha=0.0909 concentration=11` here), once for each of
the two images that Mixup mixes, and mixes the losses; here it is drawn once, around the mixed label. Its beta begins at
1 and is moved behind every three steps of the weights, in a pass of its own on unchanged images, by SGD with the
weights' rate, momentum and decay. It keeps the epoch that withstands an attack on the test set best.

Deviations: beta's step, which the text doesn't tell, is `beta_rate` times its gradient. beta begins near 1, at the same
place for every seed, and stays above `LEAST`; nothing else holds it, so that labels become less certain the longer a
training is. With several processes images are mixed within each.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.noise import uniform
from visionadv.training.dirichlet import dirichlet
from visionadv.training.gaussian import noisy
from visionadv.training.label_smoothing import check_share, one_hot
from visionadv.training.mixup import mixed, pairing
from visionadv.training.processes import averaged
from visionadv.training.vicinity import Batch, Vicinity

LABEL, FIRST = 14, 15  # added to an image's seed
LEAST = 1e-3  # of beta


class Sprout(Vicinity):
    """`alpha`, `sigma` (Delta) and `a` are those of section 5.3.4.1.

    Args:
        beta_rate: beta's step along its gradient.
        concentration: a factor of the whole concentration; the larger, the less labels differ from their mean.
        labels, gaussian, mixup: which of the three modules are on.
    """

    own_gradients = True
    beta: nn.Parameter

    def __init__(
        self,
        *,
        alpha: float = 0.01,
        sigma: float = 0.1,
        a: float = 0.2,
        beta_rate: float = 0.1,
        concentration: float = 1.0,
        labels: bool = True,
        gaussian: bool = True,
        mixup: bool = True,
    ) -> None:
        super().__init__()
        check_share("alpha", alpha)
        if min(sigma, beta_rate) < 0 or min(a, concentration) <= 0:
            raise BadInput("sigma and beta_rate must be at least 0, a and concentration above 0")
        if labels and alpha == 0:
            raise BadInput(
                "with an alpha of 0 other classes have no share that could be drawn; give labels=false instead"
            )
        self.alpha, self.sigma, self.a = alpha, sigma, a
        self.beta_rate, self.concentration = beta_rate, concentration
        self.labels, self.gaussian, self.mixup = labels, gaussian, mixup

    def begin(self, model: Any, *, count: int, classes: int, shape: tuple[int, ...]) -> None:
        super().begin(model, count=count, classes=classes, shape=shape)
        first = uniform(torch.tensor([FIRST]), 0, (classes,), dtype=torch.float64)[0]
        self.beta = nn.Parameter((0.5 + first).to(next(model.parameters()).dtype))

    def loss(self, model: Any, batch: Batch) -> Tensor:
        images = noisy(batch, self.sigma) if self.gaussian else batch.images
        targets = one_hot(batch.labels, self.classes, images)
        if self.mixup:
            pairs = pairing(batch, self.a)
            images, targets = mixed(images, *pairs), mixed(targets, *pairs)
        if self.labels:
            concentration = self.concentration * ((1 - self.alpha) * targets + self.alpha * self.beta)
            targets = dirichlet(concentration.clamp(min=self.alpha * LEAST), batch.host_seeds + LABEL, batch.step)
        return nn.functional.cross_entropy(model(images), targets)

    @torch.no_grad()
    def after(self, model: Any, batch: Batch) -> None:
        if self.labels and self.beta.grad is not None:
            self.beta.add_(self.beta_rate * averaged(self.beta.grad)).clamp_(min=LEAST)
