"""The distance to the boundary in a direction, g(theta), by decisions: bisections with a bracket for each image.

Cheng et al. (ICLR 2019, arXiv:1807.04457, Algorithm 1). All functions work on the images of `rows` (n,) of an oracle,
in directions (n, ...) of norm 1; a distance is infinite where there is no success, or where nothing may be asked any
more.

Deviations: where a bracket doesn't hold the boundary, both of its ends move; in the paper and its code one stays, and
all in between is bisected, which takes a few percent more queries.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from visionadv.configs import BadInput
from visionadv.distances import size, unit, wide
from visionadv.noise import normal, uniform
from visionadv.oracles import DecisionOracle
from visionadv.pool import Pool

STARTS = 100  # directions, or images of the target, that a search begins with
START_TOLERANCE = 1e-5
NOISES = 1000  # images of noise that are tried until one succeeds
BLENDED = 1e-3  # share of such an image that its blend with the original is known to
GROWTH = 0.01  # of a bracket, each time it doesn't hold the boundary
AT_ONCE, VALUES_AT_ONCE = 50, 2**20  # directions of an image, and how many values they may have together
FARTHEST = {"untargeted": 20.0, "targeted": 100.0}  # distance at which a bracket stops to grow


def parts(total: int, like: Tensor) -> Iterator[tuple[int, int]]:
    """The first and the number of those of `total` directions of an image that are looked at together.

    They depend on the size of an image (n, ...) alone, so that sums over them are rounded alike in every batch.
    """
    most = max(1, min(AT_ONCE, VALUES_AT_ONCE // like.shape[1:].numel()))
    for first in range(0, total, most):
        yield first, min(most, total - first)


def reached_at(oracle: DecisionOracle, rows: Tensor, directions: Tensor, distances: Tensor) -> Tensor:
    """(n,) whether the goal is reached at these distances."""
    return oracle.reached(oracle.images[rows] + wide(distances, directions) * directions, rows)


def bisect(
    oracle: DecisionOracle, rows: Tensor, directions: Tensor, low: Tensor, high: Tensor, tolerance: float | Tensor
) -> Tensor:
    """(n,) the upper ends of brackets around the boundary, shorter than the tolerance or as short as numbers can be."""
    low, high = low.clone(), high.clone()
    tolerance = torch.as_tensor(tolerance, dtype=high.dtype, device=high.device).expand_as(high)
    while True:
        middle = (low + high) / 2
        wider = high.isfinite() & (high - low > tolerance) & (low < middle) & (middle < high)
        some = (wider & oracle.open[rows]).nonzero()[:, 0]
        if len(some) == 0:
            return high
        middle = middle[some]
        inside = reached_at(oracle, rows[some], directions[some], middle)
        high[some] = torch.where(inside, middle, high[some])
        low[some] = torch.where(inside, low[some], middle)


def local_distance(
    oracle: DecisionOracle, rows: Tensor, directions: Tensor, near: Tensor, tolerance: float | Tensor
) -> Tensor:
    """(n,) g(theta), looked for from a distance (n,) that is near it."""
    inwards = reached_at(oracle, rows, directions, near)  # then the boundary is nearer, or else farther
    low, high = near.clone(), near.where(inwards, torch.inf)
    farthest = FARTHEST["untargeted" if oracle.goal.targets is None else "targeted"]
    some = oracle.open[rows].nonzero()[:, 0]
    while len(some):
        inner = inwards[some]
        tested = torch.where(inner, high[some] * (1 - GROWTH), low[some] * (1 + GROWTH))
        reached = reached_at(oracle, rows[some], directions[some], tested)
        high[some] = torch.where(reached, tested, high[some])
        low[some] = torch.where(reached, low[some], tested)
        some = some[(reached == inner) & (inner | (tested < farthest)) & oracle.open[rows[some]]]
    return bisect(oracle, rows, directions, low, high, tolerance)


def start(oracle: DecisionOracle, seeds: Tensor, tolerance: float = START_TOLERANCE) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (n,) for which a success was found, their directions (n, ...) and distances (n,).

    Without a target, `STARTS` random directions are tried at the length that they are drawn with; with one, the
    images of the oracle's `pool`. One that succeeds is bisected if it does so at the best distance so far, too.

    Raises:
        BadInput: there is a target and no pool.
    """
    pool = images_to_start_from(oracle)
    rows = oracle.left()
    shape, dtype = oracle.images.shape[1:], oracle.images.dtype
    best = torch.full_like(oracle.distance[rows], torch.inf)
    theta = torch.zeros_like(oracle.images[rows])
    for number in range(STARTS if pool is None else min(STARTS, len(pool))):
        if pool is None:
            some, way = torch.arange(len(rows), device=rows.device), normal(seeds[rows], number, shape, dtype=dtype)
        else:
            some = pool.holds(rows, number).nonzero()[:, 0]
            way = pool.take(rows[some], number) - oracle.images[rows[some]]
        reached = reached_at(oracle, rows[some], way, torch.ones_like(best[some]))
        if not reached.any():
            continue
        some, way, length = some[reached], unit(way[reached], oracle.norm), size(way[reached], oracle.norm)
        known = best[some].isfinite()
        at = torch.minimum(best[some], length)
        again = known & (best[some] < length)
        good = ~again
        if again.any():
            good[again] = reached_at(oracle, rows[some[again]], way[again], at[again])
        some, way, at = some[good], way[good], at[good]
        found = bisect(oracle, rows[some], way, torch.zeros_like(at), at, tolerance)
        nearer = found < best[some]
        best[some[nearer]], theta[some[nearer]] = found[nearer], way[nearer]
    got = best.isfinite()
    return rows[got], theta[got], best[got]


def blended_start(
    oracle: DecisionOracle, seeds: Tensor, *, successes: int = 1, tolerance: float = BLENDED
) -> tuple[Tensor, Tensor]:
    """Rows (n,) for which a success was found, and one (n, ...) at the boundary between it and the original.

    Without a target it is uniform noise, as Brendel, Rauber and Bethge (ICLR 2018) begin; with one, the first image of
    the oracle's `pool` that succeeds. Of several `successes` the nearest is taken.

    Raises:
        BadInput: there is a target and no pool.
    """
    pool = images_to_start_from(oracle)
    rows = oracle.left()
    originals = oracle.images[rows]
    found, best = torch.zeros_like(rows), torch.full_like(oracle.distance[rows], torch.inf)
    images = originals.clone()
    for number in range(NOISES if pool is None else len(pool)):
        some = ((found < successes) & oracle.open[rows]).nonzero()[:, 0]
        if len(some) == 0:
            break
        if pool is None:
            begin = uniform(seeds[rows[some]], number, originals.shape[1:], dtype=originals.dtype)
        else:
            some = some[pool.holds(rows[some], number)]
            begin = pool.take(rows[some], number)
        reached = oracle.reached(begin, rows[some])
        some, way = some[reached], (begin - originals[some])[reached]
        found[some] += 1
        whole = torch.ones_like(best[some])
        share = bisect(oracle, rows[some], way, torch.zeros_like(whole), whole, tolerance)
        way = wide(share, way) * way
        nearer = size(way, oracle.norm) < best[some]
        best[some[nearer]] = size(way[nearer], oracle.norm)
        images[some[nearer]] = originals[some[nearer]] + way[nearer]
    got = best.isfinite()
    return rows[got], images[got]


def images_to_start_from(oracle: DecisionOracle) -> Pool | None:
    """The oracle's pool where there is a target, else none. Raises BadInput for a target without a pool."""
    if oracle.goal.targets is None:
        return None
    if oracle.pool is None:
        raise BadInput("a targeted search begins at images of the target; give some")
    return oracle.pool
