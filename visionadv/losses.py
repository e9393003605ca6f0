"""What an attack ascends: functions of logits (N, K) that are the larger, the nearer the goal.

Each takes the logits, the goal, and which of the goal's images (N,) they are of; it returns (N,).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from visionadv.goals import Goal

Loss = Callable[[Tensor, Goal, Tensor], Tensor]
LEAST_SPREAD = 1e-12  # of the largest logits, that a ratio is taken of


def cross_entropy(logits: Tensor, goal: Goal, rows: Tensor) -> Tensor:
    """-log p of the label, or log p of the target."""
    likelihood = logits.log_softmax(1).gather(1, goal.aims[rows][:, None])[:, 0]
    return -likelihood if goal.targets is None else likelihood


def margin(logits: Tensor, goal: Goal, rows: Tensor) -> Tensor:
    """The difference of logits of Carlini and Wagner (S&P 2017), f_6, above 0 for a success."""
    return goal.margin(logits, rows)


def margin_up_to(confidence: float) -> Loss:
    """The margin up to a confidence (kappa of Carlini and Wagner); beyond, it has no gradient, but at a tie it has."""

    def short_of(logits: Tensor, goal: Goal, rows: Tensor) -> Tensor:
        margin = goal.margin(logits, rows)
        return margin.where(margin <= confidence, confidence)

    return short_of


def difference_of_logits_ratio(logits: Tensor, goal: Goal, rows: Tensor) -> Tensor:
    """The margin over the spread of the largest logits, so that their scale doesn't matter.

    Croce and Hein (ICML 2020), (6) and (7): z_1 - z_3, or for a target z_1 - (z_3 + z_4) / 2. With fewer classes the
    last of them stands for the third and the fourth. With two the ratio would say nothing more than the decision, and
    have no gradient: then it is the margin. As in the authors' code 1e-12 keeps the spread above 0.
    """
    classes = logits.shape[1]
    if classes == 2:
        return goal.margin(logits, rows)
    ordered = logits.sort(1, descending=True).values
    third, fourth = ordered[:, min(2, classes - 1)], ordered[:, min(3, classes - 1)]
    spread = ordered[:, 0] - (third if goal.targets is None else (third + fourth) / 2)
    if goal.targets is None:
        return goal.margin(logits, rows) / (spread + LEAST_SPREAD)
    aim = logits.gather(1, goal.aims[rows][:, None])[:, 0]
    label = logits.gather(1, goal.labels[rows][:, None])[:, 0]
    return (aim - label) / (spread + LEAST_SPREAD)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "margin": margin, "dlr": difference_of_logits_ratio}
