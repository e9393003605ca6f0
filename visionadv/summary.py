"""What the records of a run say of a victim and of an attack, by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scipy import stats

from visionadv.distances import NORMS

Record = dict[str, Any]  # an AttackRecord as a dictionary


def attack_measures(
    records: Sequence[Record], norm: str, queries: Sequence[int] = (), within: float | None = None
) -> dict[str, Any]:
    """Values to average by name, or estimates.

    `success` is over images that aren't a success as they are; `robust` is what is left of `clean` under the attack, of
    all images. `median_distance` is in the attack's own norm, where a failure is farther than any success; the
    distances by norm are means over the successes of the attack. For each number Q of `queries`, `median@Q` is the
    median distance that was reached with so many, `within@Q` the share of images for which it is at most `within`, and
    `unclipped@Q` the median distance before clipping, where that was followed.
    """
    attacked = [record for record in records if not record["already"]]
    successes = [record for record in attacked if record["success"]]
    found: dict[str, Any] = {
        "clean": [record["clean_class"] == record["label"] for record in records],
        "success": [record["success"] for record in attacked],
    }
    if all(record["target"] is None for record in records):
        found["robust"] = [not record["success"] for record in records]
    found["median_distance"] = median([record[norm] if record["success"] else math.inf for record in attacked])
    found |= {name: [record[name] for record in successes] for name in NORMS}
    found["queries"] = [float(record["queries"]) for record in attacked]
    found["median_queries"] = median([_queries_of(record) for record in attacked])
    found["gradients"] = [float(record["gradients"]) for record in attacked]
    found["confirmed"] = [record["confirmed"] for record in successes]
    for number in queries:
        reached = [distance_at(record["curve"], number) for record in attacked]
        found[f"median@{number}"] = median(reached)
        if any(record["unclipped_curve"] for record in attacked):
            found[f"unclipped@{number}"] = median([distance_at(one["unclipped_curve"], number) for one in attacked])
        if within is not None:
            found[f"within@{number}"] = [distance <= within for distance in reached]
    return found


def _queries_of(record: Record) -> float:
    """The query that was the first success; infinite without one."""
    return record["curve"][0][0] if record["curve"] else math.inf


def median(values: Sequence[float]) -> dict[str, Any]:
    """The median of values, infinite ones among them, with the 95 % interval of its order statistics.

    The lower and the upper end are the values between which the median lies with that probability whatever the
    distribution (binomial); None for what is infinite or undefined.
    """
    ordered, n = sorted(values), len(values)
    if n == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    skipped = int(stats.binom.ppf(0.025, n, 0.5))
    low, high = (ordered[skipped - 1], ordered[n - skipped]) if skipped else (-math.inf, math.inf)
    told = [value if math.isfinite(value) else None for value in (_middle(ordered), low, high)]
    return dict(zip(("value", "low", "high"), told, strict=True)) | {"n": n}


def median_curve(records: Sequence[Record], queries: Sequence[int], curve: str = "curve") -> list[float]:
    """The median distance that was reached with so many queries; infinite where most have no success yet."""
    return [_middle(sorted(distance_at(record[curve], number) for record in records)) for number in queries]


def distance_at(curve: Sequence[Sequence[float]], queries: float) -> float:
    """The distance of the nearest success among the first queries; infinite without one."""
    return min((distance for number, distance in curve if number <= queries), default=math.inf)


def _middle(ordered: Sequence[float]) -> float:
    """The median of values in their order; infinite without any."""
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2 if n else math.inf
