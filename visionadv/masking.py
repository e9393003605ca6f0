"""Is a model robust, or are its gradients only hard to follow? Four signs of the latter, with fixed thresholds.

Athalye, Carlini and Wagner (ICML 2018, arXiv:1802.00420, section 3.1) and Carlini et al. (2019, arXiv:1902.06705) say
what to look for. Each sign is a difference of robust accuracies within one distance, or a share of images:

- losses: PGD with the cross-entropy leaves more than PGD with the margin does;
- scores: PGD with restarts leaves more than Square, which sees no gradients;
- restarts: one start of PGD leaves more than many;
- gradients: images at which the cross-entropy has no gradient at all.

A sign fires where it is above its threshold by more than chance: so is the lower end of its 95 % interval. The
thresholds are guesses so far: they are still to be fixed on reference models, silent on nets of adversarial training
and of TRADES and firing on one of label smoothing alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

THRESHOLDS = {"losses": 0.05, "scores": 0.01, "restarts": 0.03, "gradients": 0.05}
JUDGED_BY = ("clean", "gradients", "pgd", "pgd_restarts", "margin", "square")  # judges that it needs
PLAIN = {  # what a sign says, in words
    "losses": "PGD is misled by the cross-entropy: with the margin it finds {value:.1%} more errors",
    "scores": "an attack without gradients finds {value:.1%} more errors than PGD with restarts",
    "restarts": "where PGD starts matters: many starts find {value:.1%} more errors than one",
    "gradients": "at {value:.1%} of the images there is no gradient to follow",
}


@dataclass(frozen=True)
class Sign:
    """A share with its 95 % interval, and what is still taken for chance or for harmless."""

    name: str
    value: float
    low: float
    high: float
    threshold: float

    @property
    def fires(self) -> bool:
        """Whether it is above the threshold, and not by chance."""
        return self.low > self.threshold

    @property
    def words(self) -> str:
        """What it says."""
        return PLAIN[self.name].format(value=self.value)


def signs(records: Sequence[dict[str, Any]], eps: float) -> list[Sign]:
    """All four, of `RobustnessRecord`s as dictionaries, within a distance of Linf.

    Raises:
        ValueError: the records lack a judge of `JUDGED_BY`.
    """
    return [sign(name, values) for name, values in differences(records, eps).items()]


def differences(records: Sequence[dict[str, Any]], eps: float) -> dict[str, list[float]]:
    """What each sign is the mean of, image by image: 1, 0 or -1. Raises ValueError as `signs`."""
    right = {name: told(records, name, eps) for name in JUDGED_BY}
    pairs = {
        "losses": (right["pgd"], right["margin"]),
        "scores": (right["pgd_restarts"], right["square"]),
        "restarts": (right["pgd"], right["pgd_restarts"]),
        "gradients": ([True] * len(records), right["gradients"]),
    }
    return {name: [float(a) - float(b) for a, b in zip(*pair, strict=True)] for name, pair in pairs.items()}


def told(records: Sequence[dict[str, Any]], name: str, eps: float) -> list[bool]:
    """What a judge says of every image."""
    full = name if name in ("clean", "gradients") else f"{name}@{eps:g}"
    if any(full not in record["judges"] for record in records):
        raise ValueError(f"nobody asked {full}; a verdict on masking needs {', '.join(JUDGED_BY)}")
    return [record["right"][record["judges"].index(full)] for record in records]


def sign(name: str, pairs: Sequence[float]) -> Sign:
    """The mean of paired differences, with Student's interval."""
    n, value = len(pairs), sum(pairs) / len(pairs)
    half = stats.t.ppf(0.975, n - 1) * stats.sem(pairs) if n > 1 and max(pairs) > min(pairs) else 0.0
    return Sign(name, value, value - half, value + half, THRESHOLDS[name])


def verdict(found: Sequence[Sign]) -> str:
    """A sentence: what fires, or that nothing does."""
    firing = [one for one in found if one.fires]
    if not firing:
        return "No sign of masked gradients."
    return "Signs of masked gradients: " + "; ".join(one.words for one in firing) + "."
