"""Is a model robust, or are its gradients only hard to follow? Four signs of the latter, with fixed thresholds.

Athalye, Carlini and Wagner (ICML 2018, arXiv:1802.00420, section 3.1) and Carlini et al. (2019, arXiv:1902.06705) say
what to look for. Each sign is a share of the images, within one distance:

- losses: PGD with the cross-entropy finds no error, and with the margin it does;
- scores: PGD from many starts finds none, and Square, which sees no gradients, does;
- restarts: PGD from one start finds none, and as many steps from many starts do;
- gradients: the cross-entropy has no gradient at all.

An image that only the first of a pair gets wrong doesn't make up for one that only the second does. A sign fires where
it is above its threshold by more than chance: so is the lower end of its 95 % interval. Nothing is said of fewer than
`IMAGES`, or, by the first three, where PGD leaves fewer than `LEFT` right, for there nothing else can find more.

The thresholds are guesses so far: they are still to be fixed on reference models, silent on nets of adversarial
training and of TRADES and firing on one of label smoothing alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

THRESHOLDS = {"losses": 0.05, "scores": 0.01, "restarts": 0.03, "gradients": 0.05}
JUDGED_BY = ("clean", "gradients", "pgd", "pgd_long", "pgd_restarts", "margin", "square")  # judges that it needs
IMAGES, LEFT = 100, 20
PLAIN = {  # what a sign says, in words
    "losses": "PGD is misled by the cross-entropy: with the margin it finds errors at {value:.1%} more of the images",
    "scores": "an attack without gradients finds errors at {value:.1%} of the images, and PGD from many starts none",
    "restarts": "where PGD starts matters: many starts find errors at {value:.1%} more of the images than one",
    "gradients": "at {value:.1%} of the images there is no gradient to follow",
}


@dataclass(frozen=True)
class Sign:
    """A share with its 95 % interval, and what is still taken for chance or for harmless.

    `judged` says whether there was enough to judge by.
    """

    name: str
    value: float
    low: float
    high: float
    threshold: float
    judged: bool = True

    @property
    def fires(self) -> bool:
        """Whether it is above the threshold, and not by chance."""
        return self.judged and self.low > self.threshold

    @property
    def words(self) -> str:
        """What it says."""
        return PLAIN[self.name].format(value=self.value)


def signs(records: Sequence[dict[str, Any]], eps: float) -> list[Sign]:
    """All four, of `RobustnessRecord`s as dictionaries, within a distance of Linf.

    Raises:
        ValueError: the records lack a judge of `JUDGED_BY`.
    """
    left = sum(told(records, "pgd", eps))
    return [
        sign(name, found, judged=len(records) >= IMAGES and (name == "gradients" or left >= LEFT))
        for name, found in shares(records, eps).items()
    ]


def shares(records: Sequence[dict[str, Any]], eps: float) -> dict[str, list[bool]]:
    """Where each sign is, image by image. Raises ValueError as `signs`."""
    right = {name: told(records, name, eps) for name in JUDGED_BY}
    pairs = {
        "losses": (right["pgd"], right["margin"]),
        "scores": (right["pgd_restarts"], right["square"]),
        "restarts": (right["pgd_long"], right["pgd_restarts"]),
        "gradients": ([True] * len(records), right["gradients"]),
    }
    return {name: [a and not b for a, b in zip(*pair, strict=True)] for name, pair in pairs.items()}


def told(records: Sequence[dict[str, Any]], name: str, eps: float) -> list[bool]:
    """What a judge says of every image."""
    full = name if name in ("clean", "gradients") else f"{name}@{eps:g}"
    if any(full not in record["judges"] for record in records):
        raise ValueError(f"nobody asked {full}; a verdict on masking needs {', '.join(JUDGED_BY)}")
    return [record["right"][record["judges"].index(full)] for record in records]


def sign(name: str, found: Sequence[bool], *, judged: bool = True) -> Sign:
    """A share with Wilson's interval."""
    low, high = stats.binomtest(sum(found), len(found)).proportion_ci(method="wilson")
    return Sign(name, sum(found) / len(found), float(low), float(high), THRESHOLDS[name], judged)


def verdict(found: Sequence[Sign]) -> str:
    """A sentence: what fires, or that nothing does, or that there isn't enough to judge by."""
    firing = [one for one in found if one.fires]
    if firing:
        return "Signs of masked gradients: " + "; ".join(one.words for one in firing) + "."
    if not all(one.judged for one in found):
        return "Masked gradients can't be judged: too few images, or too few that PGD leaves right."
    return "No sign of masked gradients."
