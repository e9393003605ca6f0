"""An attack on a batch of images, from the first query to the records."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from visionadv.attacks import check_use, least_budget
from visionadv.configs import BadInput
from visionadv.distances import NORMS, size
from visionadv.noise import example_seeds
from visionadv.transfer import carry_over
from visionadv.types import AttackRecord

LOOKS = 10  # at an adversarial image, of a randomized victim


def carry_out(attack: Any, oracle: Any, seeds: Tensor) -> None:
    """Shows the unchanged images, and runs an attack on those that aren't a success as they are.

    Args:
        attack: one of `attacks`.
        oracle: of the kind that the attack needs; it keeps what is found.
        seeds: (B,) of the attack's randomness.

    Raises:
        BadInput: as `attacks.check_use`, and for a budget that is too small for a first step.
    """
    check_use(attack, oracle, seeds)
    if oracle.budget is not None and oracle.budget < (least := least_budget(attack, oracle.images.shape[1:])):
        told = f"{type(attack).__name__} needs {least} queries for a first step"
        raise BadInput(f"{told}; a budget of {oracle.budget} is too small")
    oracle.begin()
    if oracle.open.any():
        attack.run(oracle, seeds.to(oracle.images.device))


def attack_batch(
    attack: Any, oracle: Any, example_ids: Sequence[int], *, seed: int, file: str = "", surrogate: Any = None
) -> list[AttackRecord]:
    """Records of an attack on the oracle's images; what it found is the oracle's `best`.

    Args:
        attack: one of `attacks`.
        oracle: of the kind that the attack needs, not asked yet; with a surrogate one of decisions will do.
        example_ids: B of them; with `seed` they make all random numbers.
        file: where the images will be, for the records.
        surrogate: a victim that is attacked in place of the oracle's, which sees what comes of it.
    """
    begin = time.perf_counter()
    seeds = example_seeds(seed, example_ids)
    if surrogate is None:
        carry_out(attack, oracle, seeds)
    else:
        carry_over(attack, surrogate, oracle, seeds)
    seconds = (time.perf_counter() - begin) / len(example_ids)
    looks, everyone = LOOKS if oracle.victim.randomized else 1, torch.arange(len(example_ids)).to(oracle.queries)
    decisions = torch.stack([oracle.victim.decide(oracle.best) for _ in range(looks)])  # (looks, B)
    confirmed = torch.stack([oracle.goal.reached(one, everyone) for one in decisions]).double().mean(0).tolist()
    curve, unclipped_curve = by_row(oracle.curve), by_row(oracle.unclipped_curve)
    distances = {norm: size(oracle.best - oracle.images, norm).tolist() for norm in NORMS}
    targets = oracle.goal.targets.tolist() if oracle.goal.targets is not None else [None] * len(example_ids)
    return [
        AttackRecord(
            example_id=example_id,
            seed=seed,
            success=bool(oracle.found[row]),
            queries=int(oracle.queries[row]),
            seconds=seconds,
            original=f"{file}:{row}",
            adversarial=f"{file}:{row}",
            already=bool(oracle.already[row]),
            gradients=int(oracle.gradients[row]),
            confirmed=confirmed[row],
            label=int(oracle.goal.labels[row]),
            target=targets[row],
            clean_class=int(oracle.clean_classes[row]),
            adversarial_class=int(decisions[0, row]),
            **{norm: distances[norm][row] for norm in NORMS},
            curve=curve[row],
            unclipped_curve=unclipped_curve[row],
        )
        for row, example_id in enumerate(example_ids)
    ]


def by_row(noted: Sequence[tuple[Tensor, Tensor, Tensor]]) -> dict[int, list[list[float]]]:
    """[query, distance] of what an oracle noted about each image."""
    found = defaultdict[int, list[list[float]]](list)
    for rows, numbers, distances in noted:
        for row, number, distance in zip(rows.tolist(), numbers.tolist(), distances.tolist(), strict=True):
            found[row].append([number, distance])
    return found
