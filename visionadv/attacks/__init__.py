"""The attacks, a file each, by the name that scripts know them by.

An attack is a frozen dataclass of its hyperparameters, by default those of its paper. `oracle` says what it needs to
see and `norms` which distances it knows; `eps` is its usual limit, None where it looks for the smallest distance
(`either`: unless it is given one), and `budget` its usual number of queries, where it would go on for a very long time.
`run(oracle, seeds)` asks the oracle, which keeps what it finds; `seeds` (B,) are those of `noise`. Where not all images
will do, `check` says so of their shape, and where a first step takes many queries `least_budget` says how many;
`targeted` is False of those that know no targets, and `partial` True of those that do with the likeliest scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from numbers import Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from visionadv.configs import BadInput
from visionadv.options import check_kind, parse

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

MAY_BE_ZERO = ("line_steps",)  # counts that may be 0, though their default isn't
AT_LEAST_TWO = ("candidates",)  # classes, the image's own among them
ABOVE_ZERO = (  # what a search multiplies or divides by
    *("constant", "decrease", "gamma", "adaptation", "share", "start_tolerance"),
    *("sigma", "h", "beta", "least_beta", "start"),
)
BELOW_ONE = ("decrease",)
MAY_BE_NEGATIVE = ("theta",)  # JSMA's, where values fall; but not 0


def kind_of(name: str) -> Any:
    """The class of an attack. Raises BadInput if there is no such attack."""
    if name not in ATTACKS:
        raise BadInput(f"there is no attack {name!r}; there are {', '.join(ATTACKS)}")
    return getattr(import_module(f"visionadv.attacks.{name}"), ATTACKS[name])


def attack_named(name: str, **options: Any) -> Any:
    """An attack with its paper's hyperparameters, but for those that are given.

    Raises:
        BadInput: no such attack, or one that has no such hyperparameter, or not of this value.
    """
    kind = kind_of(name)
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(options) - set(known)):
        raise BadInput(f"{name} has no {', '.join(unknown)}; it has {', '.join(known) or 'no options'}")
    _check(name, kind, options)
    return kind(**options)


def _check(name: str, kind: Any, options: Mapping[str, Any]) -> None:
    """Raises BadInput for a word that isn't one of those there are, a count below 1, and numbers out of range."""
    hints, defaults = get_type_hints(kind), dict[str, Any]({field.name: field.default for field in fields(kind)})
    for option, value in options.items():
        if get_origin(hints[option]) is Literal and value not in (words := get_args(hints[option])):
            raise BadInput(f"{name}'s {option} is {' or '.join(words)}, not {value!r}")
        check_kind(name, option, value, defaults[option])
        if isinstance(value, bool) or not isinstance(value, Real):
            continue
        value = float(value)
        if not math.isfinite(value):
            raise BadInput(f"{name}'s {option} must be a finite number, not {value:g}")
        counts = isinstance(defaults[option], int) and defaults[option] > 0 and option not in MAY_BE_ZERO
        least = 2 if option in AT_LEAST_TWO else 1 if counts else 0
        if value < least and option not in MAY_BE_NEGATIVE:
            raise BadInput(f"{name}'s {option} must be at least {least}, not {value:g}")
        if option in MAY_BE_NEGATIVE and value == 0:
            raise BadInput(f"{name}'s {option} must not be 0")
        vanishes = value == 0 and option in ABOVE_ZERO and (name, option) != ("ead", "beta")  # without L1 it is C&W
        if vanishes or (option in BELOW_ONE and value >= 1):
            raise BadInput(
                f"{name}'s {option} must be above 0{' and below 1' if option in BELOW_ONE else ''}, not {value}"
            )


def least_budget(attack: Any, shape: Sequence[int]) -> int:
    """Queries until a first changed image is shown, for images of a shape: the unchanged one's among them."""
    from visionadv.oracles import GradientOracle

    if hasattr(attack, "least_budget"):
        return attack.least_budget(shape)
    return 3 if attack.oracle is GradientOracle else 2  # its gradient is a query, too


def check_use(attack: Any, oracle: Any, seeds: Any) -> None:
    """Raises BadInput for what an attack can't do: to images of that shape, in that norm, with a target, unseen scores.

    Args:
        attack: one of them.
        oracle: of `oracles`, of the victim.
        seeds: one for each of its images.
    """
    name = type(attack).__name__
    if len(seeds) != len(oracle.images):
        raise BadInput(f"there are {len(seeds)} seeds and {len(oracle.images)} images; give one for each")
    if hasattr(attack, "check"):
        attack.check(oracle.images.shape[1:])
    if oracle.norm not in attack.norms:
        raise BadInput(f"{name} knows {' and '.join(attack.norms)}, and not {oracle.norm}")
    if oracle.goal.targets is not None and not getattr(attack, "targeted", True):
        raise BadInput(f"{name} knows no targets; give a goal without")
    if oracle.top_k is not None and not getattr(attack, "partial", False):
        raise BadInput(f"{name} needs the scores of all classes; leave out top_k, or take nes")


def parse_options(name: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Hyperparameters from texts "name=value"; each takes the type of its default.

    Raises:
        BadInput: a value is not of that type.
    """
    return parse(name, pairs, {field.name: field.default for field in fields(kind_of(name))})
