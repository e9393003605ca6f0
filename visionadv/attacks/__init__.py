"""The attacks, a file each, by the name that scripts know them by.

An attack is a frozen dataclass of its hyperparameters, by default those of its paper. `oracle` says what it needs to
see and `norms` which distances it knows; `eps` is its usual limit, None where it looks for the smallest distance, and
`budget` its usual number of queries, where it would go on for a very long time.
`run(oracle, seeds)` asks the oracle, which keeps what it finds; `seeds` (B,) are those of `noise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any

from visionadv.configs import BadInput
from visionadv.options import parse

ATTACKS = {
    # white box, the best within a distance
    "fgsm": "Fgsm",
    "bim": "Bim",
    "least_likely": "LeastLikely",
    "pgd": "Pgd",
    "apgd": "Apgd",
    "autoattack": "AutoAttack",
    # white box, the smallest distance
    "deepfool": "DeepFool",
    "carlini_wagner_l2": "CarliniWagnerL2",
    "carlini_wagner_linf": "CarliniWagnerLinf",
    "ead": "Ead",
    "ddn": "Ddn",
    "fab": "Fab",
    "bg": "Bg",
    "jsma": "Jsma",
    # scores
    "zoo": "Zoo",
    "nes": "Nes",
    "local_search": "LocalSearch",
    "square": "Square",
    # decisions only
    "boundary": "Boundary",
    "opt": "Opt",
    "sign_opt": "SignOpt",
    "svm_opt": "SvmOpt",
    "zo_sign_sgd": "ZoSignSgd",
    "hop_skip_jump": "HopSkipJump",
    "frugal_sign_opt": "FrugalSignOpt",
}


def kind_of(name: str) -> Any:
    """The class of an attack. Raises BadInput if there is no such attack."""
    if name not in ATTACKS:
        raise BadInput(f"there is no attack {name!r}; there are {', '.join(ATTACKS)}")
    return getattr(import_module(f"visionadv.attacks.{name}"), ATTACKS[name])


def attack_named(name: str, **options: Any) -> Any:
    """An attack with its paper's hyperparameters, but for those that are given.

    Raises:
        BadInput: no such attack, or one that has no such hyperparameter.
    """
    kind = kind_of(name)
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(options) - set(known)):
        raise BadInput(f"{name} has no {', '.join(unknown)}; it has {', '.join(known) or 'no options'}")
    return kind(**options)


def parse_options(name: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Hyperparameters from texts "name=value"; each takes the type of its default.

    Raises:
        BadInput: a value is not of that type.
    """
    return parse(name, pairs, {field.name: field.default for field in fields(kind_of(name))})
