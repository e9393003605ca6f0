"""Transfer (Papernot et al., arXiv:1605.07277): what is found on one model is shown to another.

An attack looks into a surrogate with all its gradients, and the victim sees a single image of each. What barely fools
the surrogate seldom fools anybody else. So an attack within a distance takes all its steps, and of the images that it
met the one that is the farthest beyond the surrogate's boundary is shown. An attack that looks for the smallest
distance shows what it found, which its own confidence, if it has one, makes go farther; where the surrogate errs by
itself that is the unchanged image, which the victim has seen: a failure.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from visionadv.attacks import check_use
from visionadv.goals import Goal
from visionadv.oracles import DecisionOracle, GradientOracle, ScoreOracle


class SurrogateScores(ScoreOracle):
    """Of a model that isn't the victim: nothing is a success, and what has the largest margin within eps is kept."""

    def _keep(self, images: Tensor, rows: Tensor, numbers: Tensor, reached: Tensor, decisions: Tensor) -> None:
        """Nothing, so that no image leaves before all steps are taken."""


class SurrogateGradients(SurrogateScores, GradientOracle):
    """The same, with gradients."""


WITHIN = {ScoreOracle: SurrogateScores, GradientOracle: SurrogateGradients}  # for attacks within a distance


def carry_over(attack: Any, surrogate: Any, oracle: DecisionOracle, seeds: Tensor) -> None:
    """Shows the unchanged images, attacks a surrogate for those that aren't a success, and shows what came of it.

    Args:
        attack: one of `attacks` that sees scores or gradients; its search on the surrogate ends as it does by itself.
        surrogate: a victim of `victims` that tells them.
        oracle: of the victim.
        seeds: (B,) of the attack's randomness.

    Raises:
        BadInput: as `attacks.check_use`.
    """
    check_use(attack, oracle, seeds)
    oracle.begin()
    rows = oracle.left()
    if len(rows) == 0:
        return
    goal = oracle.goal
    some = Goal(goal.labels[rows], None if goal.targets is None else goal.targets[rows])
    fixed = attack.eps is not None or (oracle.eps is not None and getattr(attack, "either", False))
    about = {"norm": oracle.norm, "eps": oracle.eps, "budget": getattr(attack, "budget", None)}
    about["pool"] = None if oracle.pool is None else oracle.pool.of(rows)
    kind = WITHIN.get(attack.oracle, attack.oracle) if fixed else attack.oracle
    inner = kind(surrogate, oracle.images[rows], some, **about)
    inner.begin()
    if inner.open.any():
        attack.run(inner, seeds.to(rows.device)[rows])
    changed = (inner.best != oracle.images[rows]).flatten(1).any(1)  # what wasn't has been shown already
    oracle.reached(inner.best[changed], rows[changed])
