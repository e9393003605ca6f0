"""Square (Andriushchenko, Croce, Flammarion, Hein, ECCV 2020, arXiv:1912.00049): random search by scores.

A step changes a random square of the perturbation and stays if the loss is larger then. In Linf (Algorithms 1 and 2) a
square has -eps or eps in each channel, and the search begins with such stripes. In L2 (Algorithm 3) a square gets a
bump next to a hole, and what another square takes from the norm:

    bump = sign eta + v_1 / |v_1|,   v_1 <- bump / |bump| sqrt(|v_{1 or 2}|^2 + (eps^2 - |v|^2) / C),   v_2 <- 0

in each of C channels. A square covers a share p of the image, halved at nine points of the schedule in section 5. Signs
that change nothing in Linf are drawn again.

Deviations: every image has squares of its own, and they reach the last row and column, as in the paper; the authors'
code has one for the whole batch, which never do. Squares of L2 fit into images of fewer than 5 rows or columns. The
schedule is scaled to the steps, or a smaller budget, as in the paper; in AutoAttack's code it isn't.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.configs import BadInput
from visionadv.distances import unit, wide
from visionadv.losses import cross_entropy, margin
from visionadv.noise import uniform
from visionadv.oracles import ScoreOracle

HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 steps
SMALLEST = {"linf": 1, "l2": 3}  # side of a square
SHARE = {"linf": 0.05, "l2": 0.1}
DRAWN_AGAIN = 8  # times


@dataclass(frozen=True)
class Square:
    """`steps` are queries, of which one begins; `share` is p at first, by default 0.05 of Linf and 0.1 of L2.

    Robust victims need a larger one: AutoAttack takes 5,000 steps and a share of 0.8.
    """

    steps: int = 10_000
    share: float | None = None

    oracle: ClassVar = ScoreOracle
    norms: ClassVar = ("linf", "l2")
    eps: ClassVar = 0.3

    def check(self, shape: Sequence[int]) -> None:
        """Raises BadInput for what isn't (C, H, W)."""
        if len(shape) != 3:
            raise BadInput(f"squares are of images (C, H, W), and these are {tuple(shape)}")

    def run(self, oracle: ScoreOracle, seeds: Tensor) -> None:
        rows = oracle.left()
        steps = self.steps if oracle.budget is None else min(self.steps, oracle.budget)
        loss = margin if oracle.goal.targets is None else cross_entropy
        begin, change = (_stripes, _square_linf) if oracle.norm == "linf" else (_tiles, _square_l2)
        delta = oracle.limit * begin(oracle.images[rows], seeds[rows])
        best = torch.full_like(oracle.distance[rows], -torch.inf)
        for step in range(steps):
            originals = oracle.images[rows]
            tested = delta
            if step:
                tested = change(originals, delta, self._side(oracle, step - 1, steps), oracle.limit, seeds[rows], step)
            tested = (originals + tested).clamp(0, 1) - originals
            values = loss(oracle.logits(originals + tested, rows), oracle.goal, rows)
            better = values > best
            delta, best = tested.where(wide(better, delta), delta), torch.maximum(values, best)
            oracle.close(rows[oracle.found[rows]])
            left = oracle.open[rows]
            if not left.all():
                rows, delta, best = rows[left], delta[left], best[left]
            if len(rows) == 0:
                return

    def _side(self, oracle: ScoreOracle, step: int, steps: int) -> int:
        """Of a square, in a step of the search."""
        height, width = oracle.images.shape[2:]
        halvings = sum(step * 10000 // steps > after for after in HALVED_AFTER)
        share = SHARE[oracle.norm] if self.share is None else self.share
        side = max(round(math.sqrt(share / 2**halvings * height * width)), SMALLEST[oracle.norm])
        if oracle.norm == "l2":
            side += 1 - side % 2
        return min(side, height, width)


def _stripes(images: Tensor, seeds: Tensor) -> Tensor:
    """(n, C, H, W) vertical stripes of -1 or 1 in each channel."""
    return _signs(_draws(seeds, 0, images.shape[1], 1, images.shape[3]), images).expand_as(images)


def _tiles(images: Tensor, seeds: Tensor) -> Tensor:
    """(n, C, H, W) about five bumps a row and a column, of norm 1 together."""
    count, channels, height, width = images.shape
    side = max(min(height, width) // 5, 1)
    down, across = height // side, width // side
    draws = _draws(seeds, 0, channels + 1, down, across)[..., None, None]
    bump = _bump(side, images)
    tiles = torch.where(draws[:, :1] > 0.5, bump.T, bump) * _signs(draws[:, 1:], images)  # (n, C, down, across, s, s)
    tiles = tiles.transpose(3, 4).reshape(count, channels, down * side, across * side)
    top, left = (height - down * side) // 2, (width - across * side) // 2
    whole = torch.zeros_like(images)
    whole[:, :, top : top + down * side, left : left + across * side] = tiles
    return unit(whole, "l2")


def _square_linf(originals: Tensor, delta: Tensor, side: int, eps: float, seeds: Tensor, step: int) -> Tensor:
    """Perturbations (n, C, H, W) of which a square is -eps or eps in each channel, of signs that change something."""
    count, channels = delta.shape[:2]
    draws = _draws(seeds, step, 2 + DRAWN_AGAIN * channels)
    window = _window(delta, side, draws[:, :2])
    signs = _signs(draws[:, 2:], delta).view(count, DRAWN_AGAIN, channels)
    there, now = originals[window], delta[window]
    below, above = (((there + sign * eps).clamp(0, 1) - there != now).flatten(2).any(2) for sign in (-1, 1))  # (n, C)
    changing = torch.where(signs > 0, above[:, None], below[:, None]).any(2)  # (n, DRAWN_AGAIN)
    first = changing.to(torch.uint8).argmax(1)
    signs = signs[torch.arange(count, device=delta.device), first]
    signs = torch.where(changing.any(1)[:, None], signs, -signs)
    delta = delta.clone()
    delta[window] = eps * signs[..., None, None]
    return delta


def _square_l2(originals: Tensor, delta: Tensor, side: int, eps: float, seeds: Tensor, step: int) -> Tensor:
    """Perturbations of norm eps, of which one square has a new bump and another is 0."""
    draws = _draws(seeds, step, 5 + delta.shape[1])
    first, second = _window(delta, side, draws[:, :2]), _window(delta, side, draws[:, 2:4])
    bump = _bump(side, delta)
    bumps = torch.where(draws[:, 4, None, None, None] > 0.5, bump.T, bump) * _signs(draws[:, 5:, None, None], delta)
    rest = delta.clone()
    rest[first] = rest[second] = 0.0
    unused = (eps**2 - delta.square().sum((1, 2, 3))).clamp(min=0) / delta.shape[1]
    taken = delta.square().sum((2, 3)) - rest.square().sum((2, 3))
    lengths = (taken + unused[:, None]).clamp(min=0).sqrt()  # (n, C)
    bumps = _of_norm_1(bumps + _of_norm_1(delta[first]))
    rest[first] = lengths[:, :, None, None] * _of_norm_1(bumps)
    return rest


def _draws(seeds: Tensor, step: int, *shape: int) -> Tensor:
    """(n, *shape) numbers from (0, 1), as float64: as float32 one may be 1."""
    return uniform(seeds, step, shape, dtype=torch.float64)


def _signs(draws: Tensor, like: Tensor) -> Tensor:
    """-1 or 1 for each draw."""
    return torch.where(draws > 0.5, 1.0, -1.0).to(like.dtype)


def _window(delta: Tensor, side: int, draws: Tensor) -> tuple[Tensor, ...]:
    """What picks a square (n, C, s, s) of each of n perturbations (n, C, H, W), by two draws (n, 2) from (0, 1)."""
    count, channels, height, width = delta.shape
    places = torch.arange(side, device=delta.device)
    down = (draws[:, 0] * (height - side + 1)).long()[:, None] + places
    across = (draws[:, 1] * (width - side + 1)).long()[:, None] + places
    image = torch.arange(count, device=delta.device)[:, None, None, None]
    channel = torch.arange(channels, device=delta.device)[:, None, None]
    return image, channel, down[:, None, :, None], across[:, None, None, :]


def _bump(side: int, like: Tensor) -> Tensor:
    """(s, s) eta of norm 1: a hill in the upper half, and one turned over in the lower."""
    half = side // 2
    return _of_norm_1(torch.cat([_hill(half, side, like), -_hill(side - half, side, like)]))


def _hill(height: int, width: int, like: Tensor) -> Tensor:
    """(h, w) sums of 1 / k^2 over nested rectangles, the first of them the middle."""
    steps = torch.arange(1, max(height, width) // 2 + 2, dtype=like.dtype, device=like.device)
    sums = (1 / steps**2).flip(0).cumsum(0).flip(0)
    down, across = (
        (torch.arange(count, device=like.device) - count // 2).abs() for count in (height, width)
    )  # from the middle
    return sums[torch.maximum(down[:, None], across)]


def _of_norm_1(squares: Tensor) -> Tensor:
    """Squares (..., s, s) scaled to norm 1; none stays none."""
    lengths = torch.linalg.vector_norm(squares, dim=(-2, -1), keepdim=True)
    return squares / lengths.clamp(min=torch.finfo(squares.dtype).tiny)
