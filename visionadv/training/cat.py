"""CAT, customized adversarial training (Cheng et al., IJCAI 2022, arXiv:2002.06789; section 4.2 and Algorithm 8).

Every training image i has a distance eps_i of its own. It grows by eta each time that the attack within eps_i + eta
fails, and is 0 again when that succeeds (4.2). The label is the less certain, the farther the image may go (4.4):
y~ = (1 - c eps_i) y + c eps_i Dirichlet(1). The loss, in the attack as for the weights, is the cross-entropy with y~,
and a margin that is to be at least kappa (4.6).

Of the ablations of Table 4.6, Adv+LS has `adaptive=false margin=false`, eps_i = eps_max for all and labels as above;
Adp-Adv has `c=0 margin=false`.

Text and code differ: the authors' code lets eps_i grow where the attack succeeds, the other way round than Algorithm 8,
which is what is done here. The algorithm's last label gives the Dirichlet part 1 - c eps_i; (4.4) has c eps_i, as here.

Deviations: eps_i + eta is limited to eps_max before the attack, as section 4.2.1 says, and not behind it only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.training.dirichlet import dirichlet
from visionadv.training.inner import ascend, check_attack, evaluating, margins
from visionadv.training.label_smoothing import one_hot
from visionadv.training.processes import gathered
from visionadv.training.vicinity import Batch, Vicinity

LABEL, LAST = 16, 18  # added to an image's seed


class Cat(Vicinity):
    """Hyperparameters are those of section 4.2.4.1, but for the step size, which it doesn't tell.

    Args:
        eps: eps_max. c: of eps_i, how much of the label is uncertain. step_size: in units of eps_i.
        margin: whether the loss has the margin of (4.6). adaptive: whether eps_i changes.
        reset: whether eps_i is 0 again when the attack succeeds; else it only grows.
    """

    own_gradients = True
    distances: Tensor

    def __init__(
        self,
        *,
        eps: float = 8 / 255,
        eta: float = 0.005,
        c: float = 10.0,
        steps: int = 10,
        step_size: float = 0.25,
        kappa: float = 10.0,
        margin: bool = True,
        adaptive: bool = True,
        reset: bool = True,
    ) -> None:
        super().__init__()
        check_attack(eps, steps, step_size)
        if eta <= 0 or kappa < 0 or not 0 <= c * eps <= 1:
            raise BadInput(
                f"eta must be above 0, kappa at least 0, and c times eps from 0 to 1, for it is a share of the label; "
                f"they are {eta}, {kappa} and {c * eps:g}"
            )
        self.eps, self.eta, self.c, self.steps, self.step_size = eps, eta, c, steps, step_size
        self.kappa, self.margin, self.adaptive, self.reset = kappa, margin, adaptive, reset

    def begin(self, model: Any, *, count: int, classes: int, shape: tuple[int, ...]) -> None:
        super().begin(model, count=count, classes=classes, shape=shape)
        self.register_buffer("distances", torch.full((count,), 0.0 if self.adaptive else self.eps, dtype=torch.float64))

    def loss(self, model: Any, batch: Batch) -> Tensor:
        images, distance = batch.images, self.distances[batch.rows]
        attacked = self._losses(self._labels(batch, distance, LABEL), batch.labels)
        if self.adaptive:
            distance = (distance + self.eta).clamp(max=self.eps)
        how = {"steps": self.steps, "step_size": self.step_size}
        moved = ascend(model, images, attacked, radius=distance.to(images.dtype), **how)
        if self.adaptive:
            if self.reset:
                with evaluating(model) as asked, torch.no_grad():
                    distance = distance.where(asked(moved).argmax(1) == batch.labels, 0.0)
            self.distances[gathered(batch.rows)] = gathered(distance)
        return self._losses(self._labels(batch, distance, LAST), batch.labels)(model(moved)).mean()

    def _labels(self, batch: Batch, distance: Tensor, draw: int) -> Tensor:
        """(B, K) the labels (4.4) for distances (B,), from one of the algorithm's two draws."""
        label = one_hot(batch.labels, self.classes, batch.images)
        if self.c == 0:
            return label
        drawn = dirichlet(torch.ones_like(label), batch.host_seeds + draw, batch.step)
        uncertain = (self.c * distance).to(label)[:, None]
        return (1 - uncertain) * label + uncertain * drawn

    def _losses(self, targets: Tensor, labels: Tensor) -> Any:
        """A function of logits (B, K): (B,) the loss (4.6)."""

        def losses(logits: Tensor) -> Tensor:
            entropy = nn.functional.cross_entropy(logits, targets, reduction="none")
            return entropy + margins(logits, labels).clamp(min=-self.kappa) if self.margin else entropy

        return losses
