"""Descent of the distance to the boundary, g(theta), over directions theta: what OPT and its descendants share.

They differ in how they estimate the slope of g; the step along it is found by the line search of Cheng et al. (ICLR
2019, arXiv:1807.04457, section 3.2), as in their code, with a step and a smoothing for each image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from visionadv.attacks.line_search import START_TOLERANCE, STARTS, local_distance, start
from visionadv.distances import unit, wide
from visionadv.noise import normal
from visionadv.oracles import DecisionOracle

TRIES = 15  # steps of a line search, in either direction
SMALLEST_STEP = {"l2": 1e-4, "linf": 1e-6}
SMALLEST_BETA = 1e-8
PRECISION = 500  # a distance is known to beta / 500

Measure = Callable[[Tensor, Tensor, Tensor], Tensor]  # distances (k,), directions (k, ...), places (k,) among n


@dataclass
class Descent:
    """The best directions so far of n images, and how their searches go on."""

    oracle: DecisionOracle
    rows: Tensor  # (n,)
    seeds: Tensor  # (n,)
    theta: Tensor  # (n, ...)
    distance: Tensor  # (n,) g(theta)
    alpha: Tensor  # (n,) the next step
    beta: Tensor  # (n,) the smoothing
    number: int = 0  # of the step

    def keep(self, left: Tensor) -> None:
        """Drops all but some (n,) of the images."""
        for name in ("rows", "seeds", "theta", "distance", "alpha", "beta"):
            setattr(self, name, getattr(self, name)[left])

    def parts(self, most: int) -> Iterator[Descent]:
        """The searches of so many images at a time; what is found doesn't come back."""
        for some in torch.arange(len(self.rows), device=self.rows.device).split(most):
            part = replace(self)
            part.keep(some)
            yield part


def descents(
    oracle: DecisionOracle,
    seeds: Tensor,
    *,
    steps: int,
    alpha: float,
    beta: float,
    stopping: float = 0.0,
    start_tolerance: float = START_TOLERANCE,
) -> Iterator[Descent]:
    """The searches, once for each step, of those images that may still be asked about.

    Where the line search has made the step as small as nothing, the step starts anew and the smoothing is a tenth; a
    search ends when that is too small, or when a step has gained less than `stopping`.
    """
    rows, theta, distance = start(oracle, seeds, start_tolerance)
    first = torch.full_like(distance, alpha), torch.full_like(distance, beta)
    search = Descent(oracle, rows, seeds[rows], theta, distance, *first)
    for search.number in range(steps):
        left = oracle.open[search.rows]
        if not left.any():
            return
        search.keep(left)
        before = search.distance
        yield search
        stuck = search.alpha < SMALLEST_STEP[oracle.norm]
        search.alpha = search.alpha.masked_fill(stuck, 1.0)
        search.beta = torch.where(stuck, search.beta * 0.1, search.beta)
        ended = search.beta < SMALLEST_BETA
        if stopping > 0:
            ended |= search.distance > before - stopping
        oracle.close(search.rows[ended])


def around(search: Descent, directions: int, first: int, count: int, cut: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Of a step's random `directions` for each image, `count` from the `first` on.

    Returns the place (n * count,) of each one's image, u (n * count, ...) of norm 1, and the direction theta + beta u.
    """
    theta = search.theta
    owner = torch.arange(len(theta), device=theta.device).repeat_interleave(count)
    draws = STARTS + search.number * directions + first + torch.arange(count, device=theta.device)
    ways = normal(search.seeds[owner], draws.repeat(len(theta)), theta.shape[1:], dtype=theta.dtype)
    ways = unit(ways, search.oracle.norm)
    moved = theta[owner] + wide(search.beta[owner], ways) * ways
    return owner, ways, onto_sphere(moved, search.oracle.norm, cut)


def rises(search: Descent, owner: Tensor, moved: Tensor) -> Tensor:
    """(N,) the sign of g(moved) - g(theta), a query each: whether the goal isn't reached at the distance g(theta)."""
    images = search.oracle.images[search.rows[owner]] + wide(search.distance[owner], moved) * moved
    return 1 - 2 * search.oracle.reached(images, search.rows[owner]).to(moved.dtype)


def onto_sphere(directions: Tensor, norm: str, cut: bool) -> Tensor:
    """Directions of norm 1 near these; of Linf, `cut` says that values beyond 1 are cut off in place of rescaling."""
    return unit(directions.clamp(-1, 1) if cut and norm == "linf" else directions, norm)


def length(distances: Tensor, directions: Tensor, places: Tensor) -> Tensor:
    """(k,) the distances: what is descended but where a search says otherwise."""
    return distances


def descend(search: Descent, slope: Tensor, *, cut: bool, measure: Measure = length) -> None:
    """Goes against a slope (n, ...): the step doubles as long as the measure falls, or is quartered until it does."""
    oracle, rows = search.oracle, search.rows
    some = torch.arange(len(rows), device=rows.device)
    best, near, alpha = search.theta.clone(), search.distance.clone(), search.alpha.clone()
    before = measure(search.distance, search.theta, some)
    least = before.clone()

    def attempt() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        moved = search.theta[some] - wide(alpha[some], slope[some]) * slope[some]
        moved = onto_sphere(moved, oracle.norm, cut)
        found = local_distance(oracle, rows[some], moved, near[some], search.beta[some] / PRECISION)
        value = measure(found, moved, some)
        return moved, found, value, value < least[some]

    def take(nearer: Tensor, moved: Tensor, found: Tensor, value: Tensor) -> None:
        best[some[nearer]], near[some[nearer]], least[some[nearer]] = moved[nearer], found[nearer], value[nearer]

    for _ in range(TRIES):
        moved, found, value, nearer = attempt()
        alpha[some] *= 2
        take(nearer, moved, found, value)
        some = some[nearer]
        if len(some) == 0:
            break
    some = (least >= before).nonzero()[:, 0]
    for _ in range(TRIES):
        some = some[oracle.open[rows[some]]]
        if len(some) == 0:
            break
        alpha[some] *= 0.25
        moved, found, value, nearer = attempt()
        take(nearer, moved, found, value)
        some = some[~nearer]
    search.theta, search.distance, search.alpha = best, near, alpha
