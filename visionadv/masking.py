"""Is a model robust, or are its gradients only hard to follow? Four signs of the latter, with a fixed threshold.

Athalye, Carlini and Wagner (ICML 2018, arXiv:1802.00420, section 3.1) and Carlini et al. (2019, arXiv:1902.06705) say
what to look for. Each sign is a share of images, within one distance:

- losses: of those that PGD leaves right with the cross-entropy, where it finds an error with the margin;
- scores: of those that PGD leaves right from many starts, where Square does, which sees no gradients;
- restarts: of those that PGD leaves right from one start, where as many steps from many starts do;
- gradients: of all, where the cross-entropy has no gradient.

An image that only the first of a pair gets wrong doesn't make up for one that only the second does. A sign fires where
it is above `THRESHOLD` by more than chance: so is the lower end of its 95 % interval. Nothing is said of fewer than
`IMAGES` images, or where fewer than `LEFT` are left right, for there is little else to find.

The threshold was fixed on models of which is known what they are, before others were judged: table references of the
README. Nets of adversarial training and of TRADES stay silent, label smoothing alone fires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

THRESHOLD = 0.05
JUDGED_BY = ("clean", "gradients", "pgd", "pgd_long", "pgd_restarts", "margin", "square")  # judges that it needs
IMAGES, LEFT = 100, 20
PLAIN = {  # what a sign says, in words
    "losses": "of the images that PGD leaves right with the cross-entropy it gets {value} wrong with the margin",
    "scores": "of those that PGD leaves right from many starts an attack without gradients gets {value} wrong",
    "restarts": "of those that PGD leaves right from one start it gets {value} wrong from many, in as many steps",
    "gradients": "at {value} of the images there is no gradient to follow",
}


@dataclass(frozen=True)
class Sign:
    """A share with its 95 % interval; `judged` says whether there was enough to judge by."""

    name: str
    value: float
    low: float
    high: float
    judged: bool = True

    @property
    def fires(self) -> bool:
        """Whether it is above the threshold, and not by chance."""
        return self.judged and self.low > THRESHOLD

    @property
    def words(self) -> str:
        """What it says."""
        return PLAIN[self.name].format(value=f"{self.value:.1%}" if self.judged else "an unknown share")


def signs(records: Sequence[dict[str, Any]], eps: float) -> list[Sign]:
    """All four, of `RobustnessRecord`s as dictionaries, within a distance of Linf.

    Raises:
        ValueError: the records lack a judge of `JUDGED_BY`.
    """
    return [sign(name, found) for name, found in shares(records, eps).items()]


def shares(records: Sequence[dict[str, Any]], eps: float) -> dict[str, list[bool]]:
    """Where each sign is, of the images that it is a share of; nothing, where they are too few to judge by.

    Raises ValueError as `signs`.
    """
    right = {name: told(records, name, eps) for name in JUDGED_BY}
    pairs = {
        "losses": (right["pgd"], right["margin"]),
        "scores": (right["pgd_restarts"], right["square"]),
        "restarts": (right["pgd_long"], right["pgd_restarts"]),
        "gradients": ([True] * len(records), right["gradients"]),
    }
    found = {name: [not after for before, after in zip(*pair, strict=True) if before] for name, pair in pairs.items()}
    return {name: one if len(records) >= IMAGES and len(one) >= LEFT else [] for name, one in found.items()}


def told(records: Sequence[dict[str, Any]], name: str, eps: float) -> list[bool]:
    """What a judge says of every image."""
    full = name if name in ("clean", "gradients") else f"{name}@{eps:g}"
    if any(full not in record["judges"] for record in records):
        raise ValueError(f"nobody asked {full}; a verdict on masking needs {', '.join(JUDGED_BY)}")
    return [record["right"][record["judges"].index(full)] for record in records]


def sign(name: str, found: Sequence[bool]) -> Sign:
    """A share with Wilson's interval; of nothing nothing is known."""
    if not found:
        return Sign(name, 0.0, 0.0, 1.0, judged=False)
    low, high = stats.binomtest(sum(found), len(found)).proportion_ci(method="wilson")
    return Sign(name, sum(found) / len(found), float(low), float(high))


def verdict(found: Sequence[Sign]) -> str:
    """A sentence: what fires, or that nothing does, or that there isn't enough to judge by."""
    firing = [one for one in found if one.fires]
    if firing:
        return "Signs of masked gradients: " + "; ".join(one.words for one in firing) + "."
    if not all(one.judged for one in found):
        return "Masked gradients can't be judged: too few images, or too few that PGD leaves right."
    return "No sign of masked gradients."
