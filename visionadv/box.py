"""The nearest point of the cube [0, 1]^D beyond a plane, exactly and for many images at once.

A linear function with weights w is to gain an offset by a perturbation delta of the smallest norm that leaves no image
outside the cube:

    minimize |delta|   such that   <w, delta> >= offset,   0 <= x + delta <= 1.

Each value moves in the direction of its weight and has so much room r there. Of L2 it moves by min(level |w|, r), of
Linf by min(level, r), for one level. The gain grows with it, piecewise linearly and ever more slowly, as values reach
their faces; so Newton's steps from 0 come from below and end exactly, as soon as no further value is at its face. Of L1
the values of the largest weights move as far as they can, one after the other, and the last one as far as it must.

Hein and Andriushchenko (NeurIPS 2017, arXiv:1705.08475, section 4) have the L2 form, and find the level by sorting the
ones at which values reach their faces; of FAB's time that was a quarter.
"""

from __future__ import annotations

import torch
from torch import Tensor


def room(images: Tensor, weights: Tensor) -> Tensor:
    """How far each value can move along the sign of its weight; all tensors are (N, ...)."""
    return torch.where(weights > 0, 1 - images, images).where(weights != 0, 0.0)


def reach(images: Tensor, weights: Tensor) -> Tensor:
    """(N,) the most that a linear function can gain within the cube."""
    return (weights.abs() * room(images, weights)).flatten(1).sum(1)


def nearest_in_box(images: Tensor, weights: Tensor, offsets: Tensor, norm: str) -> Tensor:
    """The smallest perturbations (N, ...) of images by which linear functions gain offsets (N,).

    Args:
        images: (N, ...), in [0, 1].
        weights: (N, ...) of the functions.
        offsets: (N,); at 0 or below nothing moves, and beyond `reach` everything that has a weight goes to its face.
        norm: "l1", "l2" or "linf", which is to be small.
    """
    slopes, rooms = weights.flatten(1).abs(), room(images, weights).flatten(1)
    wanted = offsets[:, None].clamp(min=0)
    lengths = _greedy(slopes, rooms, wanted) if norm == "l1" else _level(slopes, rooms, wanted, norm)
    return weights.sign() * lengths.reshape(images.shape)


def _level(slopes: Tensor, rooms: Tensor, wanted: Tensor, norm: str) -> Tensor:
    """(N, D) min(level * pace, room), where the level is such that the gain is the one that is wanted."""
    tiny = torch.finfo(slopes.dtype).tiny
    full, steep, faces = slopes * rooms, slopes, rooms  # of Linf, whose faces are reached at the level of the room
    if norm == "l2":
        steep, faces = slopes.square(), rooms / slopes.clamp(min=tiny)
    faces, level = faces.where(full > 0, 0.0), torch.zeros_like(wanted)
    free = faces > level  # values that aren't at their faces
    while True:
        missing = wanted - full.where(~free, 0.0).sum(1, keepdim=True)
        rising = steep.where(free, 0.0).sum(1, keepdim=True)  # gained in a level
        level = torch.maximum(level, missing / rising.clamp(min=tiny))
        still = faces > level
        if torch.equal(still, free):
            return torch.where(free, torch.minimum(level * slopes if norm == "l2" else level, rooms), rooms)
        free = still


def _greedy(slopes: Tensor, rooms: Tensor, wanted: Tensor) -> Tensor:
    """(N, D) all the room of the largest weights, and of the last of them as much as is needed."""
    slopes, order = slopes.sort(dim=1, descending=True, stable=True)
    rooms = rooms.gather(1, order)
    gains = (slopes * rooms).cumsum(1)
    before = torch.cat([torch.zeros_like(wanted), gains[:, :-1]], dim=1)
    needed = (wanted - before).clamp(min=0) / slopes.clamp(min=torch.finfo(slopes.dtype).tiny)
    return torch.zeros_like(rooms).scatter_(1, order, torch.minimum(needed, rooms))
