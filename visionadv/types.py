"""The words of the package: the record of an attacked image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AttackRecord:
    """What became of one image. The images are in the run folder, where their place says: "file:row".

    For a failed attack `adversarial` is what came nearest to the goal, if the attack could see that, or the original.
    """

    example_id: int
    seed: int
    success: bool  # the goal is reached, and within eps if there is one
    queries: int  # images shown to the victim, the unchanged one included
    seconds: float  # this image's share of its batch's wall time
    original: str
    adversarial: str
    already: bool  # the unchanged image reaches the goal, and nothing more was asked
    gradients: int
    confirmed: float  # share of further looks at the adversarial image that reach the goal: one look, or several
    label: int
    target: int | None
    clean_class: int  # what the victim says of the original
    adversarial_class: int  # and of the adversarial image, in the first further look
    l0: float  # distances of the adversarial image
    l1: float
    l2: float
    linf: float
    curve: list[list[float]]  # [query, distance] of each success that was nearer than those before
    unclipped_curve: list[list[float]]  # the same of what is clipped before it is shown; empty if that isn't followed
