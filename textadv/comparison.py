"""Is one attack better than another? Two runs on the same sentences, compared sentence by sentence.

Rates of two attacks on the same sentences go up and down together, so their two intervals say less than one interval of
their difference. All intervals here come from one bootstrap over sentences (Efron, 1979), in which a sentence brings
along what became of it in both runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textadv.configs import BadInput

RESAMPLES = 10_000
Record = Mapping[str, Any]  # an AttackRecord as a dictionary


def comparison(
    one: Sequence[Record], other: Sequence[Record], *, max_words: int | None = None
) -> dict[str, dict[str, float | int | None]]:
    """Figures of two runs, with 95 % intervals; all are None where they aren't defined.

    `success` and `other_success`, their `success_difference` and `success_ratio`, and `queries_ratio`, over the
    sentences that neither run skipped; `changed_words`, `other_changed_words` and `changed_words_ratio`, over the
    sentences that fell in both. Ratios are of `one` over `other`. With `max_words`, a success with more changed words
    is a failure in both.

    Raises:
        BadInput: not the same sentences with the same goals, or none that counts.
    """
    if [_task(record) for record in one] != [_task(record) for record in other]:
        raise BadInput("these are not runs on the same sentences with the same goal; give two that are")
    pairs = [pair for pair in zip(one, other, strict=True) if not any(record["skipped"] for record in pair)]
    if not pairs:
        raise BadInput("zero samples: there is no sentence that neither run skipped")
    fell = np.array([[_within(record, max_words) for record in pair] for pair in pairs], dtype=float)
    words = np.array([[record["changed_words"] for record in pair] for pair in pairs], dtype=float)
    queries = np.array([[record["queries"] for record in pair] for pair in pairs], dtype=float)
    both = fell.prod(axis=1, keepdims=True)
    n, n_both = len(pairs), int(both.sum())
    times_drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    weights = np.vstack([np.ones(n), times_drawn])  # the sample itself first
    with np.errstate(divide="ignore", invalid="ignore"):
        rates, shown = weights @ fell / n, weights @ queries
        changed = weights @ (both * words) / (weights @ both)
        return {
            "success": _estimate(rates[:, 0], n),
            "other_success": _estimate(rates[:, 1], n),
            "success_difference": _estimate(rates[:, 0] - rates[:, 1], n),
            "success_ratio": _estimate(rates[:, 0] / rates[:, 1], n),
            "changed_words": _estimate(changed[:, 0], n_both),
            "other_changed_words": _estimate(changed[:, 1], n_both),
            "changed_words_ratio": _estimate(changed[:, 0] / changed[:, 1], n_both),
            "queries_ratio": _estimate(shown[:, 0] / shown[:, 1], n),
        }


def _task(record: Record) -> tuple[Any, ...]:
    return record["example_id"], record["original"], record["keywords"], record["clean_output"]


def _within(record: Record, max_words: int | None) -> bool:
    return record["success"] and (max_words is None or record["changed_words"] <= max_words)


def _estimate(drawn: np.ndarray, n: int) -> dict[str, float | int | None]:
    """The first of `drawn`, and quantiles of the others. A bound that isn't finite is None."""
    value = drawn[0]
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None, "n": n}
    rest = drawn[1:][~np.isnan(drawn[1:])]  # a draw without any sentence that fell in both says nothing
    low, high = np.quantile(rest, [0.025, 0.975], method="nearest")
    bounds = [float(bound) if np.isfinite(bound) else None for bound in (low, high)]
    return {"value": float(value), "low": bounds[0], "high": bounds[1], "n": n}
