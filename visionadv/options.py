"""Hyperparameters from the command line: texts "name=value", each of the type of its default."""

from __future__ import annotations

import math
from ast import literal_eval
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
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
        if default is not None:
            check_kind(owner, option, value, default, text)
        found[option] = value
    return found


def check_kind(owner: str, option: str, value: Any, default: Any, text: str | None = None) -> None:
    """Raises BadInput for a value of another kind than the default: a number, where that is None.

    Args:
        text: how the value was written, for the message.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if default is None:
        fits, kind, such = value is None or number, "a number", ""
    else:
        whole = number and isinstance(value, Integral)
        fits = {int: whole, float: number}.get(type(default), isinstance(value, type(default)))
        kind = KINDS.get(type(default).__name__, "a word")
        such = f", such as {default}" if default != () else ", such as (2000, 10000)"
    if not fits:
        raise BadInput(f"{owner}'s {option} is {kind}{such}, not {value if text is None else text!r}")
