"""How robust a classifier is, by many judges: every one says of an image whether it is classified rightly all the same.

An attack's judgement is an upper bound of robust accuracy, and the lowest of them is the best known. So the paper's own
attack never stands alone: AutoAttack is asked as well, and so are attacks that gradients can't mislead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from visionadv.attack import carry_out
from visionadv.attacks import attack_named
from visionadv.configs import EvaluationConfig
from visionadv.distances import fits
from visionadv.goals import Goal
from visionadv.gradients import input_gradients
from visionadv.invariance import CHANGES
from visionadv.masking import JUDGED_BY, shares
from visionadv.noise import example_seeds
from visionadv.oracles import DecisionOracle
from visionadv.transfer import carry_over

Judge = Callable[[Any, Tensor, Tensor, Tensor], Tensor]  # victim, images, labels, seeds: (B,) bool

ATTACKS = {  # by the name of a judge: the attack, and what is set of it but by `EvaluationConfig`
    "pgd": ("pgd", {}),
    "pgd_long": ("pgd", {}),
    "pgd_restarts": ("pgd", {}),
    "margin": ("pgd", {"loss": "margin"}),  # C&W-Linf of the dissertation, section 5.3.4.11
    "square": ("square", {"share": 0.8}),  # as in AutoAttack
    "autoattack": ("autoattack", {}),
    "autoattack_l2": ("autoattack", {}),
    "decision": ("hop_skip_jump", {}),
    "transfer": ("pgd", {}),
    "deepfool": ("deepfool", {}),
}
NAMES = {  # of judges, as a person calls them
    "clean": "Unchanged images",
    "gradients": "Images with a gradient",
    "rotation": "Rotated by 10 degrees",
    "brightness": "1.5 times as bright",
    "contrast": "Twice the contrast",
    "grayscale": "Without colours",
    "pgd": "PGD",
    "pgd_long": "PGD with more steps",
    "pgd_restarts": "PGD with as many, and restarts",
    "margin": "PGD with the margin (C&W-L∞)",
    "square": "Square, by scores",
    "autoattack": "AutoAttack",
    "decision": "HopSkipJump, by decisions",
    "transfer": "Transfer from a surrogate",
    "carlini_wagner_l2": "C&W-L2",
    "autoattack_l2": "AutoAttack (L2)",
    "deepfool": "DeepFool",
    "worst": "All of them together",
}
SMALLEST = ("decision", "deepfool", "carlini_wagner_l2")  # judges that look for the smallest distance
OF_L2 = ("carlini_wagner_l2", "autoattack_l2")  # judges of L2 distances
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
    config = config.within()
    for name in config.judges:
        norm, distances = ("l2", config.test_l2_eps) if name in OF_L2 else ("linf", config.test_eps)
        if name in SINGLE:
            found[name] = {"clean": clean, "gradients": has_gradient}.get(name) or changed(name)
        elif name in SMALLEST:
            budget = config.decision_queries if name == "decision" else None
            found |= {
                f"{name}@{eps:g}": one for eps, one in all_within(attack_of(name, config), norm, distances, budget)
            }
        elif name != "transfer" or surrogate is not None:
            for eps in distances:
                seen = surrogate if name == "transfer" else None
                found[f"{name}@{eps:g}"] = within(attack_of(name, config), norm, eps, surrogate=seen)
    return found


def attack_of(name: str, config: EvaluationConfig) -> Any:
    """A judge's attack, by the config's steps and queries."""
    attack, options = ATTACKS.get(name, (name, {}))
    of_config = {
        "pgd": {"steps": config.pgd_steps},
        "margin": {"steps": config.pgd_steps},
        "transfer": {"steps": config.pgd_steps},
        "pgd_long": {"steps": config.long_steps},
        "pgd_restarts": {"steps": config.long_steps, "restarts": config.restarts},
        "square": {"steps": config.square_queries},
        "autoattack": {"queries": config.autoattack_queries},
        "autoattack_l2": {"queries": config.autoattack_queries},
    }
    if attack == "pgd":
        options = options | {"step_size": config.pgd_step_size}
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


def within(attack: Any, norm: str, eps: float, *, surrogate: Any = None) -> Judge:
    """(B,) whether an attack finds no error within a distance."""

    def judge(victim: Any, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        kind = attack.oracle if surrogate is None else DecisionOracle
        oracle = kind(victim, images, Goal(labels), norm=norm, eps=eps)
        if surrogate is None:
            carry_out(attack, oracle, seeds)
        else:
            carry_over(attack, surrogate, oracle, seeds)
        return ~oracle.found

    return judge


def all_within(attack: Any, norm: str, distances: Sequence[float], budget: int | None) -> Iterator[tuple[float, Judge]]:
    """For each distance (B,) whether an attack finds no error within it that looks once for the nearest one."""
    last: list[Any] = [None, None, None]  # a victim, images, and how near their errors are

    def nearest(victim: Any, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        if last[0] is not victim or last[1] is not images:
            oracle = attack.oracle(victim, images, Goal(labels), norm=norm, budget=budget)
            carry_out(attack, oracle, seeds)
            last[:] = victim, images, oracle.distance
        return last[2]

    for eps in distances:
        yield eps, lambda *given, eps=eps: ~fits(nearest(*given), eps)


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
    within_linf = [name for name in names if judge_of(name) in {*ATTACKS} - {*OF_L2}]
    for distance in dict.fromkeys(name.partition("@")[2] for name in within_linf):
        those = [name for name in within_linf if name.endswith(f"@{distance}")]
        told[f"worst@{distance}"] = [all(every) for every in zip(*(told[name] for name in those), strict=True)]
        if {*JUDGED_BY} <= {judge_of(name) for name in names}:
            signs = shares(records, float(distance))
            told |= {f"masked_{name}@{distance}": values for name, values in signs.items()}
    return told
