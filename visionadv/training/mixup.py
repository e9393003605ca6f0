"""Mixup (Zhang et al., ICLR 2018, arXiv:1710.09412, (2)): images and labels of two, mixed by lambda ~ Beta(a, a).

Deviations: every pair has a lambda of its own, where the authors' code has one for a batch, as their (2) says. With
several processes images are mixed within each.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from scipy import special
from torch import Tensor

from visionadv.configs import BadInput
from visionadv.distances import wide
from visionadv.noise import uniform
from visionadv.training.label_smoothing import one_hot
from visionadv.training.vicinity import Batch, Vicinity

PAIR = 12  # added to an image's seed


@lru_cache(1)  # once for a batch's images and for its labels
def pairing(batch: Batch, a: float) -> tuple[Tensor, Tensor]:
    """(B,) the partner of each image, a permutation of the batch, and (B,) its share lambda."""
    place, drawn = uniform(batch.host_seeds + PAIR, batch.step, (2,), dtype=torch.float64).unbind(1)
    share = torch.from_numpy(special.betaincinv(a, a, drawn.numpy()))
    return place.argsort().to(batch.rows.device), share.to(batch.images)


def mixed(values: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """(B, ...) each with its share of its partner's."""
    share = wide(share, values)
    return (1 - share) * values + share * values[partner]


class Mixup(Vicinity):
    """`a` is 0.2 for ImageNet in the paper, and in the dissertation (section 5.3.4.1)."""

    def __init__(self, *, a: float = 0.2) -> None:
        super().__init__()
        if a <= 0:
            raise BadInput(f"a of Mixup's Beta(a, a) must be above 0, not {a}")
        self.a = a

    def inputs(self, model: Any, batch: Batch) -> Tensor:
        return mixed(batch.images, *pairing(batch, self.a))

    def targets(self, model: Any, batch: Batch) -> Tensor:
        return mixed(one_hot(batch.labels, self.classes, batch.images), *pairing(batch, self.a))
