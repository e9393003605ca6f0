"""A substitute model, taught by the victim's decisions (Papernot et al., AsiaCCS 2017, arXiv:1602.02697, Algorithm 1).

A few images are labelled by the victim, and a model of one's own is fitted to that. Then every image gets a companion
along the sign of the substitute's gradient of the class that the victim said,

    x + lambda sign(d F_y(x) / d x),

which lies where the substitute's answer changes fastest, so that the victim's answer there teaches the most (the
Jacobian-based augmentation, section 4.2). That is repeated, each time with twice the images; from round `full_rounds`
on only a random `reservoir` of them get a companion (section 5.1.3, reservoir sampling). White-box attacks on the
substitute are then shown to the victim: see `transfer`.

Deviations: as in the authors' code the substitute is fitted further in each round, not anew; and Adam fits it, where
they take momentum (section 5.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.noise import example_seeds, uniform
from visionadv.oracles import check_images


@dataclass(frozen=True)
class Substitution:
    """The hyperparameters of the paper's section 5, but for `learning_rate`.

    `rounds` of fitting for `epochs` in batches of `batch_size`; between them images move by `step_size`, whose sign
    changes every `period` rounds; after `full_rounds` only `reservoir` of the images do.
    """

    rounds: int = 7
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    step_size: float = 0.1
    period: int = 3
    full_rounds: int = 3
    reservoir: int = 400

    def fit(self, model: nn.Module, victim: Any, images: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Fits a model to a victim's decisions, in place.

        Args:
            model: from images (N, ...) to logits (N, K).
            victim: see `victims`; only its decisions are asked for.
            images: (M, ...) that the attacker has, in [0, 1].
            seed: of the order in batches and of the reservoir.

        Returns:
            All images (N, ...) that the victim was shown, once each, and what it said (N,): N queries.

        Raises:
            BadInput: images outside [0, 1].
        """
        check_images(images)
        labels = victim.decide(images)
        for number in range(self.rounds):
            self._fit_once(model, images, labels, seed, number)
            if number + 1 == self.rounds:
                break
            sources = torch.arange(len(images), device=images.device)
            if number >= self.full_rounds:
                sources = _order(seed, 2 * number + 1, len(images)).to(images.device)[: self.reservoir]
            sign = 1 if (number // self.period) % 2 == 0 else -1
            moved = images[sources] + sign * self.step_size * _slope(model, images[sources], labels[sources]).sign()
            moved = moved.clamp(0, 1)
            images, labels = torch.cat([images, moved]), torch.cat([labels, victim.decide(moved)])
        return images, labels

    def _fit_once(self, model: nn.Module, images: Tensor, labels: Tensor, seed: int, number: int) -> None:
        """`epochs` over all images."""
        known = int(labels.max()) + 1
        model.train()
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        for epoch in range(self.epochs):
            order = _order(seed, 2 * (number * self.epochs + epoch), len(images)).to(images.device)
            for rows in order.split(self.batch_size):
                logits = model(images[rows])
                logits = getattr(logits, "logits", logits)
                if logits.shape[1] < known:
                    raise BadInput(f"the substitute has {logits.shape[1]} classes, and the victim said {known - 1}")
                loss = nn.functional.cross_entropy(logits, labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        model.eval()


def _slope(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """(N, ...) the gradient of each image's logit of its class."""
    slopes = []
    for some, said in zip(images.split(512), labels.split(512), strict=True):
        some = some.detach().requires_grad_()
        logits = model(some)
        logits = getattr(logits, "logits", logits)
        (slope,) = torch.autograd.grad(logits.gather(1, said[:, None]).sum(), some)
        slopes.append(slope)
    return torch.cat(slopes)


def _order(seed: int, step: int, count: int) -> Tensor:
    """(count,) numbers from 0 on in a random order."""
    return uniform(example_seeds(seed, [0]), step, (count,))[0].argsort()
