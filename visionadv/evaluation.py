"""How robust a classifier is, by many judges: every one says of an image whether it is classified rightly all the same.

An attack's judgement is an upper bound of robust accuracy, and the lowest of them is the best known. So the paper's own
attack never stands alone: AutoAttack is asked as well, and so are attacks that gradients can't mislead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from visionadv.attack import carry_out
from visionadv.attacks import attack_named
from visionadv.configs import EvaluationConfig
from visionadv.goals import Goal
from visionadv.gradients import input_gradients
from visionadv.invariance import CHANGES
from visionadv.masking import JUDGED_BY, differences
from visionadv.noise import example_seeds
from visionadv.oracles import SLACK, DecisionOracle
from visionadv.transfer import carry_over

Judge = Callable[[Any, Tensor, Tensor, Tensor], Tensor]  # victim, images, labels, seeds: (B,) bool

ATTACKS = {  # by the name of a judge: the attack, and what is set of it but by `EvaluationConfig`
    "pgd": ("pgd", {"step_size": 0.2}),  # section 4.2.4.2: eps / 5
    "pgd_restarts": ("pgd", {"step_size": 0.2}),
    "margin": ("pgd", {"step_size": 0.2, "loss": "margin"}),  # C&W-Linf of the dissertation, section 5.3.4.11
    "square": ("square", {"share": 0.8}),  # as in AutoAttack
    "autoattack": ("autoattack", {}),
    "decision": ("hop_skip_jump", {}),
    "transfer": ("pgd", {"step_size": 0.2}),
}
NAMES = {  # of judges, as a person calls them
    "clean": "Unchanged images",
    "gradients": "Images with a gradient",
    "rotation": "Rotated by 10 degrees",
    "brightness": "1.5 times as bright",
    "contrast": "Twice the contrast",
    "grayscale": "Without colours",
    "pgd": "PGD",
    "pgd_restarts": "PGD with restarts",
    "margin": "PGD with the margin (C&W-L∞)",
    "square": "Square, by scores",
    "autoattack": "AutoAttack",
    "decision": "HopSkipJump, by decisions",
    "transfer": "Transfer from a surrogate",
    "carlini_wagner_l2": "C&W-L2",
    "deepfool": "DeepFool",
    "worst": "All of them together",
}
SMALLEST = {"carlini_wagner_l2": "l2", "deepfool": "l2"}  # judges that look for the smallest distance, and its norm
SINGLE = ("clean", "gradients", *CHANGES)  # judges that know no distance


@dataclass(frozen=True)
class RobustnessRecord:
    """What all judges say of an image; `success`: one of them has found an error. `original` is where it stands."""

    example_id: int
    seed: int
    success: bool
    queries: int  # images shown to the victim by all judges
    seconds: float
    original: str
    adversarial: str  # always empty: no images are kept
    label: int
    judges: list[str]
    right: list[bool]


class Shown:
    """A victim that counts what it is shown; itself in all else."""

    def __init__(self, victim: Any) -> None:
        self.victim, self.shown = victim, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.victim, name)

    def logits(self, images: Tensor) -> Tensor:
        """Those of the victim."""
        self.shown += len(images)
        return self.victim.logits(images)

    def decide(self, images: Tensor) -> Tensor:
        """What the victim says."""
        self.shown += len(images)
        return self.victim.decide(images)


def judges_of(config: EvaluationConfig, surrogate: Any = None) -> dict[str, Judge]:
    """The judges that a config names, by name and distance, such as "pgd@0.031".

    Args:
        surrogate: a victim that "transfer" attacks in the other one's place; without one there is no such judge.
    """
    found: dict[str, Judge] = {}
    for name in config.judges:
        if name in SINGLE:
            found[name] = {"clean": clean, "gradients": has_gradient}.get(name) or changed(name)
        elif name in SMALLEST:
            for eps in config.test_l2_eps:
                found[f"{name}@{eps:g}"] = within(attack_named(name), SMALLEST[name], eps, smallest=True)
        elif name != "transfer" or surrogate is not None:
            options: dict[str, Any] = {"surrogate": surrogate} if name == "transfer" else {}
            if name == "decision":
                options = {"smallest": True, "budget": config.decision_queries}
            for eps in config.test_eps:
                found[f"{name}@{eps:g}"] = within(attack_of(name, config), "linf", eps, **options)
    return found


def attack_of(name: str, config: EvaluationConfig) -> Any:
    """A judge's attack, by the config's steps and queries."""
    attack, options = ATTACKS[name]
    of_config = {
        "pgd": {"steps": config.pgd_steps},
        "margin": {"steps": config.pgd_steps},
        "transfer": {"steps": config.pgd_steps},
        "pgd_restarts": {"steps": config.long_steps, "restarts": config.restarts},
        "square": {"steps": config.square_queries},
        "autoattack": {"queries": config.autoattack_queries},
    }
    return attack_named(attack, **options, **of_config.get(name, {}))


def clean(victim: Any, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
    """(B,) whether the unchanged image is classified rightly."""
    return victim.decide(images) == labels


def has_gradient(victim: Any, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
    """(B,) whether the cross-entropy has any gradient at the image; attacks that follow it are blind without."""
    return (input_gradients(victim, images, labels).flatten(1) != 0).any(1)


def changed(name: str) -> Judge:
    """(B,) whether the image is classified rightly after a change of `invariance`."""

    def judge(victim: Any, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        return victim.decide(CHANGES[name](images)) == labels

    return judge


def within(
    attack: Any, norm: str, eps: float, *, smallest: bool = False, budget: int | None = None, surrogate: Any = None
) -> Judge:
    """(B,) whether an attack finds no error within a distance; `smallest`: it isn't told which."""

    def judge(victim: Any, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        kind = attack.oracle if surrogate is None else DecisionOracle
        oracle = kind(victim, images, Goal(labels), norm=norm, eps=None if smallest else eps, budget=budget)
        if surrogate is None:
            carry_out(attack, oracle, seeds)
        else:
            carry_over(attack, surrogate, oracle, seeds)
        return ~(oracle.distance <= eps + SLACK)

    return judge


def evaluate(
    victim: Any,
    data: Any,
    ids: Sequence[int],
    judges: Mapping[str, Judge],
    *,
    seed: int,
    device: Any = "cpu",
) -> list[RobustnessRecord]:
    """Records of images of a data set, by their numbers; `victim` is on the device."""
    begin = time.perf_counter()
    images, labels = data.images(ids).to(device), data.labels[list(ids)].to(device)
    said, shown = judged(judges, victim, images, labels, example_seeds(seed, ids).to(device))
    columns = {name: one.tolist() for name, one in said.items()}
    seconds = (time.perf_counter() - begin) / len(ids)
    return [
        RobustnessRecord(
            example_id=number,
            seed=seed,
            success=not all(columns[name][row] for name in columns if name != "gradients"),
            queries=round(shown / len(ids)),
            seconds=seconds,
            original=f"{number}",
            adversarial="",
            label=int(labels[row]),
            judges=list(columns),
            right=[columns[name][row] for name in columns],
        )
        for row, number in enumerate(ids)
    ]


def judged(
    judges: Mapping[str, Judge],
    victim: Any,
    images: Tensor,
    labels: Tensor,
    seeds: Tensor,
) -> tuple[dict[str, Tensor], int]:
    """What each judge says of images (B, ...), and how many the victim was shown."""
    shown = Shown(victim)
    return {name: judge(shown, images, labels, seeds) for name, judge in judges.items()}, shown.shown


def judge_of(measure: str) -> str:
    """The judge of a measure such as "pgd@0.031"."""
    return measure.partition("@")[0]


def called_measure(measure: str) -> str:
    """A measure as a person calls it."""
    name, _, distance = measure.partition("@")
    return NAMES[name] + (f", within {distance}" if distance else "")


def evaluation_measures(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Values to average by name: every judge's; and `worst`, what all attacks leave over, if there are any.

    `clean`: accuracy; `gradients`: images whose cross-entropy has a gradient; a change of `invariance`: accuracy after
    it; and "attack@distance": robust accuracy. "worst@distance" is right where every attack within that distance fails.
    "masked_losses@distance" and so on are the signs of `masking`, where the judges that they need were asked.
    """
    names = records[0]["judges"]
    told = {name: [record["right"][place] for record in records] for place, name in enumerate(names)}
    within_linf = [name for name in names if judge_of(name) in ATTACKS]
    for distance in dict.fromkeys(name.partition("@")[2] for name in within_linf):
        those = [name for name in within_linf if name.endswith(f"@{distance}")]
        told[f"worst@{distance}"] = [all(every) for every in zip(*(told[name] for name in those), strict=True)]
        if {*JUDGED_BY} <= {judge_of(name) for name in names}:
            signs = differences(records, float(distance))
            told |= {f"masked_{name}@{distance}": values for name, values in signs.items()}
    return told
