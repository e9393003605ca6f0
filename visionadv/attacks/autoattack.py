"""AutoAttack (Croce and Hein, ICML 2020, arXiv:2003.01690, section 4): four attacks without a parameter, one by one.

APGD by cross-entropy, APGD towards each of the likeliest other classes by the targeted DLR, FAB towards each of them,
and Square. Each sees only the images that withstood those before it. Together they judge how robust a victim is:
`robust` says it of a batch.

Deviations: any number of classes. As many others are aimed at as there are, 9 at most; with fewer than four classes the
DLR is that of `losses`. APGD-T takes the place of the paper's APGD-DLR, and FAB-T that of FAB, as in the authors'
standard version; their version plus has all six. The random searches of FAB and Square are those described there. The
version for victims whose answers vary, rand, is missing, and so is L1, for which APGD is another algorithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from visionadv.attack import carry_out
from visionadv.attacks.apgd import Apgd
from visionadv.attacks.fab import Fab
from visionadv.attacks.square import Square
from visionadv.goals import Goal
from visionadv.oracles import GradientOracle


@dataclass(frozen=True)
class AutoAttack:
    """`steps` of the attacks by gradients and `queries` of Square; `targets` other classes are aimed at."""

    version: Literal["standard", "plus"] = "standard"
    steps: int = 100
    queries: int = 5000
    targets: int = 9

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("linf", "l2")
    eps: ClassVar = 0.3

    def check(self, shape: Sequence[int]) -> None:
        """As `Square`."""
        Square().check(shape)

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        for member in self.members():
            member.run(oracle, seeds)
            oracle.close(oracle.found.nonzero()[:, 0])
            if not oracle.open.any():
                return

    def members(self) -> list[Any]:
        """The attacks in their order."""
        cross_entropy, dlr = (
            Apgd(self.steps, restarts=1 if self.version == "standard" else 5, loss=loss)
            for loss in ("cross_entropy", "dlr")
        )
        apgd_t = Apgd(self.steps, loss="dlr", targets=self.targets)
        square = Square(self.queries, share=0.8)
        fab, fab_t = Fab(self.steps, 5, enough=True), Fab(self.steps, targets=self.targets, enough=True)
        if self.version == "standard":
            return [cross_entropy, apgd_t, fab_t, square]
        return [cross_entropy, dlr, fab, square, apgd_t, fab_t]


def robust(
    victim: Any, images: Tensor, labels: Tensor, *, norm: str, eps: float, seeds: Tensor, attack: Any = None
) -> Tensor:
    """(B,) which images are classified as their labels say, and still are when attacked within a distance.

    The mean is the robust accuracy.

    Args:
        victim: see `victims`, with logits and gradients.
        images: (B, ...) in [0, 1].
        labels: (B,) the true classes.
        norm: "linf" or "l2".
        eps: the distance, in units of the images.
        seeds: (B,) see `noise.example_seeds`.
        attack: AutoAttack's standard version, if none is given.

    Raises:
        BadInput: a norm that the attack doesn't know.
    """
    attack = attack or AutoAttack()
    oracle = attack.oracle(victim, images, Goal(labels), norm=norm, eps=eps)
    carry_out(attack, oracle, seeds)
    return ~oracle.found
