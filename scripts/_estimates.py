"""Means and rates with their 95 % intervals: {"value", "low", "high", "n"}, as results.json holds them."""

import math
from collections.abc import Sequence
from typing import Any


def estimate(values: Sequence[bool] | Sequence[float]) -> dict[str, Any]:
    """Mean and 95 % interval, Wilson's for booleans and Student's t for numbers; None where undefined."""
    from scipy import stats

    n = len(values)
    if n == 0 or not all(map(math.isfinite, values)):
        return {"value": None, "low": None, "high": None, "n": n}
    value = math.fsum(values) / n
    if all(isinstance(one, bool) for one in values):
        low, high = stats.binomtest(sum(map(int, values)), n).proportion_ci(method="wilson")
    else:
        half = stats.t.ppf(0.975, n - 1) * stats.sem(values) if max(values) > min(values) else 0.0
        low, high = value - half, value + half
    return {"value": value, "low": float(low), "high": float(high), "n": n}


def estimate_auc(labels: Any, scores: Any) -> dict[str, Any]:
    """The area under the ROC curve of scores (N,) for labels (N,) of 0 and 1, with DeLong et al.'s (1988) interval."""
    import numpy as np
    from scipy import stats

    hit, scores = np.asarray(labels).astype(bool), np.asarray(scores)
    if hit.all() or not hit.any():
        return {"value": None, "low": None, "high": None, "n": len(hit)}
    ranks = stats.rankdata(scores)
    wins = (ranks[hit] - stats.rankdata(scores[hit])) / (~hit).sum()  # of each 1 over the 0s, a tie being a half
    losses = (ranks[~hit] - stats.rankdata(scores[~hit])) / hit.sum()  # of each 0 to the 1s
    value = wins.mean()
    half = stats.norm.ppf(0.975) * math.sqrt(
        sum(one.var(ddof=1) / len(one) if len(one) > 1 else 0 for one in (wins, losses))
    )
    return {"value": float(value), "low": max(0.0, value - half), "high": min(1.0, value + half), "n": len(hit)}


def estimates(found: dict[str, Any]) -> dict[str, dict]:
    """Values by name as estimates; what is one already stays."""
    return {name: one if isinstance(one, dict) else estimate(one) for name, one in found.items()}


def print_table(summary: dict[str, Any]) -> None:
    """Estimates by name, a line each; plain numbers, such as times, are left out."""
    print(f"{'measure':<24}{'value':>10}{'95 % interval':>24}{'n':>8}")
    for name, one in summary.items():
        if not isinstance(one, dict):
            continue
        value, low, high = ("-" if one[key] is None else f"{one[key]:.4g}" for key in ("value", "low", "high"))
        print(f"{name:<24}{value:>10}{f'{low} to {high}':>24}{one['n']:>8}")
