"""Training of classifiers: a method is a vicinity of the data, and one trainer trains them all.

The methods are known to scripts by these names. Their hyperparameters are keyword arguments, by default those of their
papers; `eps` is the distance of a method's own attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from typing import Any

from visionadv.configs import METHODS, BadInput
from visionadv.options import parse

CLASSES = {  # the file that holds a method, and its name there
    "natural": ("vicinity", "Vicinity"),
    "gaussian": ("gaussian", "Gaussian"),
    "label_smoothing": ("label_smoothing", "LabelSmoothing"),
    "ls_ga": ("label_smoothing", "SmoothedGaussian"),
    "mixup": ("mixup", "Mixup"),
    "stable": ("stable", "Stable"),
    "adversarial": ("adversarial", "Adversarial"),
    "trades": ("trades", "Trades"),
    "bilateral": ("bilateral", "Bilateral"),
    "sprout": ("sprout", "Sprout"),
    "free": ("free", "Free"),
    "cat": ("cat", "Cat"),
    "advprop": ("advprop", "AdvProp"),
    "robmask": ("robmask", "RobMask"),
    "bn_finetune": ("bn_finetune", "BnFinetune"),
    "distillation": ("distillation", "Distillation"),
}


def method_named(name: str, **options: Any) -> Any:
    """A method with its paper's hyperparameters, but for those that are given.

    Raises:
        BadInput: no such method, one that has no such hyperparameter, or a value that it can't have.
    """
    known = hyperparameters(name)
    if unknown := sorted(set(options) - set(known)):
        raise BadInput(f"{name} has no {', '.join(unknown)}; it has {', '.join(known) or 'no options'}")
    return _kind(name)(**options)


def method_from(name: str, *, eps: float | None = None, options: Sequence[str] = (), **more: Any) -> Any:
    """A method with hyperparameters from texts "name=value"; `more` aren't texts. Raises BadInput as `method_named`."""
    given = {} if eps is None else {"eps": eps}
    if given and any(text.startswith("eps=") for text in options):
        raise BadInput("eps is given twice; leave it out of --method_options, or leave out --train_eps")
    if any(text.startswith("teacher=") for text in options):
        raise BadInput("a teacher is a net; give --teacher_name_or_path")
    return method_named(name, **given, **parse(name, options, hyperparameters(name)), **more)


def hyperparameters(name: str) -> dict[str, Any]:
    """Those of a method by name, with their defaults. Raises BadInput if there is no such method."""
    if name not in METHODS:
        raise BadInput(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    arguments = signature(_kind(name)).parameters.values()
    return {one.name: one.default for one in arguments if one.kind is one.KEYWORD_ONLY}


def _kind(name: str) -> Any:
    module, kind = CLASSES[name]
    return getattr(import_module(f"visionadv.training.{module}"), kind)
