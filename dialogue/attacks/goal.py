"""What an adversary wants of the target's decision: a choice that leaves the adversary with more points.

AdvAgent (Cheng, Wei, Hsieh, NAACL 2019), (3.10) and (3.12), and the loss of the authors' code. The adversary takes what
the target leaves, so a choice of the target's is worth its *gain*: the adversary's points less the target's. O-bar are
the choices of positive gain. Shapes: n dialogues, C choices; scores are those of `NegotiationAgent.choice_scores`.

Deviations from the paper: o', "the original decision", is the best choice outside O-bar, so that the loss is negative
exactly if the target decides in the adversary's favour; it isn't cut off at -kappa, for with a kappa of 0, and none is
told, it never would be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dialogue.domain import CHOICES, NO_DEAL, Scenario, shares, tables

RELEASED_WEIGHT = 5.0  # of the difference of scores, in the authors' code


def gains(scenarios: Sequence[Scenario]) -> Tensor:
    """(n, C) the adversary's points less the target's for each choice of the target's; scenarios as the adversary's.

    Legal choices only mean something; `NO_DEAL` is 0.
    """
    counts, values, target_values = tables(scenarios)
    taken = shares(torch.arange(CHOICES))  # (C, I)
    left = counts[:, None] - taken
    gain = (left * values[:, None]).sum(2) - (taken * target_values[:, None]).sum(2)
    gain[:, NO_DEAL] = 0
    return gain


def margin(scores: Tensor, gain: Tensor) -> Tensor:
    """(n,) the loss (3.10) of scores and gain (n, C): best score outside O-bar less the best inside."""
    inside = scores.masked_fill(gain <= 0, -torch.inf).amax(1)
    outside = scores.masked_fill(gain > 0, -torch.inf).amax(1)
    return outside - inside


def released(scores: Tensor, gain: Tensor) -> Tensor:
    """(n,) the authors' loss: 5 times the decided choice's score less the best one's of O-bar, less that one's gain.

    It wants a large gain, not only a positive one.
    """
    best, choice = scores.masked_fill(gain <= 0, -torch.inf).max(1)
    return RELEASED_WEIGHT * (scores.amax(1) - best) - gain.gather(1, choice[:, None])[:, 0]


OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"paper": margin, "released": released}
BELOW_ZERO = -torch.finfo(torch.float32).tiny
# The loss that is enough, or less: below 0 in the paper, these in the authors' code.
ENOUGH = {
    "reactive": {"paper": BELOW_ZERO, "released": -5.0},
    "preemptive": {"paper": BELOW_ZERO, "released": -2.0},
}
