"""The nearest point of the unit cube on a hyperplane: in L1, L2 and Linf, exactly, and for many images at once.

A hyperplane w z + b = 0 has to be reached by moving each value z_i in the direction that brings it nearer, and at most
to the face of the cube. In Linf all values move at the same speed, in L2 at a speed of |w_i|, and each stops at its
face: so what has been gained is piecewise linear in time, and its bends are sorted. In L1 values move one after the
other, those of the largest |w_i| first.
"""

from __future__ import annotations

import torch
from torch import Tensor


def nearest_in_box(images: Tensor, weights: Tensor, offsets: Tensor, norm: str) -> Tensor:
    """(n, ...) the points of [0, 1] with w z + b = 0 that are nearest to images.

    Where the hyperplane doesn't meet the cube it is the corner that comes nearest to it; a value of weight 0 never
    changes.

    Args:
        images: (n, ...) in [0, 1].
        weights: (n, ...) w.
        offsets: (n,) b.
        norm: "l1", "l2" or "linf".
    """
    flat, weights = images.flatten(1), weights.flatten(1)
    lacking = -(offsets + (weights * flat).sum(1))
    ways = weights.sign() * lacking.sign()[:, None]
    room = torch.where(ways > 0, 1 - flat, flat).where(ways != 0, 0.0)  # (n, D) up to the face
    if norm == "l1":
        moves = _one_after_the_other(weights.abs(), room, lacking.abs())
    else:
        speeds = weights.abs() if norm == "l2" else torch.ones_like(room)
        moves = _all_together(weights.abs(), room, speeds, lacking.abs())
    return (flat + ways * moves).clamp(0, 1).reshape(images.shape)


def _all_together(weights: Tensor, room: Tensor, speeds: Tensor, lacking: Tensor) -> Tensor:
    """(n, D) how far each value has moved when w gains what is lacking (n,)."""
    arrivals, order = (room / speeds.clamp(min=torch.finfo(room.dtype).tiny)).sort(dim=1, stable=True)
    whole = (weights * room).gather(1, order)
    pace = (weights * speeds).gather(1, order)
    arrived = whole.cumsum(1) - whole  # gained by the values that stopped before this one
    going = pace.flip(1).cumsum(1).flip(1)  # the pace of this one and those after it
    last = (arrived + going * arrivals < lacking[:, None]).sum(1, keepdim=True)  # the first that doesn't arrive
    some = last.clamp(max=room.shape[1] - 1)
    times = (lacking[:, None] - arrived.gather(1, some)) / going.gather(1, some)
    times = times.where(last == some, torch.finfo(room.dtype).max).where(lacking[:, None] > 0, 0.0)
    return torch.minimum(times * speeds, room)


def _one_after_the_other(weights: Tensor, room: Tensor, lacking: Tensor) -> Tensor:
    """The same, of which one value at most has stopped on its way."""
    ordered, order = weights.sort(dim=1, descending=True, stable=True)
    room = room.gather(1, order)
    whole = ordered * room
    rest = (lacking[:, None] - (whole.cumsum(1) - whole)).clamp(min=0)
    moves = torch.minimum(rest / ordered.clamp(min=torch.finfo(room.dtype).tiny), room)
    return torch.zeros_like(moves).scatter_(1, order, moves)
