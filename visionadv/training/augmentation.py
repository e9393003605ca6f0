"""Images moved by a few pixels and mirrored, each by its own luck."""

from __future__ import annotations

import torch
from torch import Tensor

from visionadv.noise import below, uniform


def shifted(images: Tensor, seeds: Tensor, step: Tensor | int, pixels: int) -> Tensor:
    """(B, C, H, W) moved by up to so many pixels in both directions; what comes in is 0."""
    if pixels == 0:
        return images
    _, channels, height, width = images.shape
    padded = torch.nn.functional.pad(images, [pixels] * 4)
    top, left = (below(seeds + which, step, 2 * pixels + 1) for which in (1, 2))
    device = images.device
    down = (top[:, None] + torch.arange(height, device=device))[:, None, :, None]
    across = (left[:, None] + torch.arange(width, device=device))[:, None, None, :]
    owner = torch.arange(len(images), device=device)[:, None, None, None]
    return padded[owner, torch.arange(channels, device=device)[None, :, None, None], down, across]


def mirrored(images: Tensor, seeds: Tensor, step: Tensor | int) -> Tensor:
    """(B, C, H, W) of which every other one is mirrored, left and right."""
    coin = uniform(seeds + 3, step, (1,))[:, 0] < 0.5
    return torch.where(coin[:, None, None, None], images.flip(3), images)
