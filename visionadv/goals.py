"""What counts as success: a wrong class, or a certain one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from visionadv.configs import BadInput
from visionadv.noise import below, example_seeds

GOALS = ("untargeted", "targeted", "random_target", "least_likely")
BEFORE_ALL = -1  # the step of an image's random numbers that no attack takes


@dataclass(frozen=True)
class Goal:
    """Of B images: any class but `labels` (B,), or, if there are `targets` (B,), these.

    Raises:
        BadInput: labels or targets that are no tensors, or not as many; a target is the true label.
    """

    labels: Tensor
    targets: Tensor | None = None

    def __post_init__(self) -> None:
        for name, values in (("labels", self.labels), ("targets", self.targets)):
            if not isinstance(values, Tensor | None):
                raise BadInput(f"{name} are a tensor (B,) of torch.int64, and not a {type(values).__name__}")
        if self.targets is None:
            return
        if self.targets.shape != self.labels.shape:
            raise BadInput(f"there are {len(self.targets)} targets and {len(self.labels)} labels; give one for each")
        if (self.targets == self.labels).any():
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


def make_goal(
    kind: str,
    labels: Tensor,
    *,
    target: int | None = None,
    victim: Any = None,
    images: Tensor | None = None,
    seed: int = 0,
    example_ids: Sequence[int] = (),
) -> Goal:
    """The goal of a kind of `GOALS`, for images with these labels (B,).

    Args:
        kind: `targeted` is one class for all images, `target`; `random_target` another class than the label, drawn from
            (seed, example_id); `least_likely` the one that the victim gives the least to when it sees the unchanged
            image (for this a look that is no query: whoever sets the goal has it).
        victim: for the last two: how many classes there are, or its scores.
        images: (B, ...) for the last one.

    Raises:
        BadInput: what the kind needs is missing, or a target is the true label.
    """
    if kind not in GOALS:
        raise BadInput(f"there is no goal {kind!r}; there are {', '.join(GOALS)}")
    if kind == "untargeted":
        return Goal(labels)
    if kind == "targeted":
        if target is None:
            raise BadInput("a targeted goal needs its class: give a target")
        return Goal(labels, torch.full_like(labels, target))
    if kind == "random_target":
        if victim is None or victim.classes is None:
            raise BadInput("for a random target the number of the victim's classes must be known")
        if len(example_ids) != len(labels):
            raise BadInput(f"a random target is drawn by example_id: give one for each of {len(labels)} images")
        others = below(example_seeds(seed, example_ids).to(labels.device), BEFORE_ALL, victim.classes - 1)
        return Goal(labels, others + (others >= labels))
    if victim is None or images is None:
        raise BadInput("the least likely class is the victim's for the unchanged images: give both")
    if not victim.scored:
        raise BadInput("the victim tells no scores, so that no class is the least likely; choose another goal")
    with torch.no_grad():
        logits = victim.logits(images)
    own = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)
    return Goal(labels, logits.masked_fill(own, torch.inf).argmin(1))


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
