"""Hyperparameters from the command line: texts "name=value", each of the type of its default."""

from __future__ import annotations

import math
from ast import literal_eval
from collections.abc import Mapping, Sequence
from typing import Any

from visionadv.configs import BadInput

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "several numbers in brackets",
}


def parse(owner: str, pairs: Sequence[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name; names that have no default are taken as they look.

    Raises:
        BadInput: a value is not of its default's type, or no finite number, or given twice; `owner` is whose it is.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        option, _, text = pair.partition("=")
        if option in found:
            raise BadInput(f"{owner}'s {option} is given twice; give it once")
        default = defaults.get(option)
        try:
            value = literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if text.lower() in ("true", "false"):
            value = text.lower() == "true"
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"{owner}'s {option} must be a finite number, not {text!r}")
        if default is not None and type(value) is not type(default):
            kind = KINDS.get(type(default).__name__, "a word")
            such = f", such as {default}" if default != () else ", such as (2000, 10000)"
            raise BadInput(f"{owner}'s {option} is {kind}{such}, not {text!r}")
        found[option] = value
    return found
