"""The loss around an image: along its own gradient's sign, and along a random direction of signs.

Engstrom, Ilyas, Athalye (2018, arXiv:1807.10272); Figures 4.2 and 5.4 of Cheng's dissertation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from visionadv.gradients import input_gradients
from visionadv.noise import uniform

RADEMACHER = 31  # added to an image's seed


def landscape(victim: Any, images: Tensor, labels: Tensor, seeds: Tensor, *, extent: float, points: int) -> Tensor:
    """(P, P) the mean loss at x + a sign(gradient) + b r, for a (rows) and b (columns) from -extent to extent.

    Images aren't clipped: the plane goes through the cube and beyond.

    Args:
        victim: see `victims`, with gradients.
        images: (B, C, H, W); labels: (B,); seeds: (B,) of the random signs r, each image's own.
        points: P, of either axis.
    """
    slopes = input_gradients(victim, images, labels)
    across = torch.where(uniform(seeds + RADEMACHER, 0, images.shape[1:], dtype=images.dtype) < 0.5, -1.0, 1.0)
    steps = torch.linspace(-extent, extent, points, dtype=images.dtype, device=images.device)
    found = images.new_empty(points, points)
    with torch.no_grad():
        for row, a in enumerate(steps):
            moved = images + a * slopes.sign()
            for column, b in enumerate(steps):
                logits = victim.logits(moved + b * across.to(images))
                found[row, column] = nn.functional.cross_entropy(logits, labels)
    return found
