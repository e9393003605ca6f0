"""Gaussian augmentation (Zantedeschi et al., AISec 2017; Table 5.1 of Cheng's dissertation): x~ = N(x, sigma^2).

The noise isn't clipped: virtual inputs may lie outside [0, 1].
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from visionadv.configs import BadInput
from visionadv.noise import normal
from visionadv.training.vicinity import Batch, Vicinity

NOISE = 11  # added to an image's seed


def noisy(batch: Batch, sigma: float) -> Tensor:
    """(B, C, H, W) the images with normal noise of their own."""
    images = batch.images
    return images + sigma * normal(batch.seeds + NOISE, batch.step, images.shape[1:], dtype=images.dtype)


class Gaussian(Vicinity):
    """`sigma` is 0.1 in the dissertation (section 5.3.4.1), where images are from 0 to 1."""

    def __init__(self, *, sigma: float = 0.1) -> None:
        super().__init__()
        if sigma < 0:
            raise BadInput(f"sigma must be at least 0, not {sigma}")
        self.sigma = sigma

    def inputs(self, model: Any, batch: Batch) -> Tensor:
        return noisy(batch, self.sigma)
