"""The attacks, a file each, by the name that scripts know them by.

An attack is a frozen dataclass of its hyperparameters, by default those of its paper. `oracle` says what it needs to
see and `norms` which distances it knows; `eps` is its usual limit, None where it looks for the smallest distance.
`run(oracle, seeds)` asks the oracle, which keeps what it finds; `seeds` (B,) are those of `noise`.
"""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import Any

from visionadv.configs import BadInput

ATTACKS = {
    # white box, the best within a distance
    "fgsm": "Fgsm",
    "bim": "Bim",
    "least_likely": "LeastLikely",
    "pgd": "Pgd",
    # white box, the smallest distance
    "deepfool": "DeepFool",
    "carlini_wagner_l2": "CarliniWagnerL2",
    "ddn": "Ddn",
    # decisions only
    "boundary": "Boundary",
    "opt": "Opt",
    "sign_opt": "SignOpt",
    "svm_opt": "SvmOpt",
    "zo_sign_sgd": "ZoSignSgd",
    "hop_skip_jump": "HopSkipJump",
    "frugal_sign_opt": "FrugalSignOpt",
}


def attack_named(name: str, **options: Any) -> Any:
    """An attack with its paper's hyperparameters, but for those that are given.

    Raises:
        BadInput: no such attack, or one that has no such hyperparameter.
    """
    if name not in ATTACKS:
        raise BadInput(f"there is no attack {name!r}; there are {', '.join(ATTACKS)}")
    kind = getattr(import_module(f"visionadv.attacks.{name}"), ATTACKS[name])
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(options) - set(known)):
        raise BadInput(f"{name} has no {', '.join(unknown)}; it has {', '.join(known) or 'no options'}")
    return kind(**options)
