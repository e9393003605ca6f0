"""What counts as success: a wrong class, or a certain one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from visionadv.configs import BadInput

GOALS = ("untargeted", "targeted", "random_target", "least_likely")


@dataclass(frozen=True)
class Goal:
    """Of B images: any class but `labels` (B,), or, if there are `targets` (B,), these.

    Raises:
        BadInput: a target is the true label.
    """

    labels: Tensor
    targets: Tensor | None = None

    def __post_init__(self) -> None:
        if self.targets is not None and (self.targets == self.labels).any():
            row = int((self.targets == self.labels).nonzero()[0, 0])
            raise BadInput(f"the target of image {row} is its true label, {int(self.labels[row])}; choose another")

    @property
    def aims(self) -> Tensor:
        """(B,) the class whose likelihood matters: the target, or the label."""
        return self.labels if self.targets is None else self.targets

    def reached(self, decisions: Tensor, rows: Tensor) -> Tensor:
        """(N,) whether decisions (N,) about images of `rows` (N,) are a success."""
        hit = decisions == self.aims[rows]
        return ~hit if self.targets is None else hit

    def margin(self, logits: Tensor, rows: Tensor) -> Tensor:
        """(N,) how far logits (N, K) are beyond success: above 0 it is one, below it isn't."""
        aims = self.aims[rows][:, None]
        aim = logits.gather(1, aims)[:, 0]
        other = logits.scatter(1, aims, -torch.inf).amax(1)
        return other - aim if self.targets is None else aim - other


def in_turn(goal: Goal, logits: Tensor, count: int) -> list[Goal]:
    """What an attack aims at one after the other: the goal, or the likeliest other classes if any is a success.

    Args:
        goal: of B images.
        logits: (B, K) of the unchanged images.
        count: of the other classes, at most K - 1 of them; 0 for the goal itself.
    """
    if goal.targets is not None or count == 0:
        return [goal]
    others = logits.scatter(1, goal.labels[:, None], -torch.inf).topk(min(count, logits.shape[1] - 1), dim=1).indices
    return [Goal(goal.labels, towards) for towards in others.T]
