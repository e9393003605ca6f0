"""An attack on a batch of images, from the first query to what was found."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from visionadv.configs import BadInput


def carry_out(attack: Any, oracle: Any, seeds: Tensor) -> None:
    """Shows the unchanged images, and runs an attack on those that aren't a success as they are.

    Args:
        attack: one of `attacks`.
        oracle: of the kind that the attack needs; it keeps what is found.
        seeds: (B,) of the attack's randomness.

    Raises:
        BadInput: the oracle hides scores that the attack needs.
    """
    if oracle.top_k is not None and not getattr(attack, "partial", False):
        raise BadInput(f"{type(attack).__name__} needs the scores of all classes; leave out top_k, or take nes")
    oracle.begin()
    if oracle.open.any():
        attack.run(oracle, seeds)
