"""An attack on a batch of images, from the first query to what was found."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def carry_out(attack: Any, oracle: Any, seeds: Tensor) -> None:
    """Shows the unchanged images, and runs an attack on those that aren't a success as they are.

    Args:
        attack: one of `attacks`.
        oracle: of the kind that the attack needs; it keeps what is found.
        seeds: (B,) of the attack's randomness.
    """
    oracle.begin()
    if oracle.open.any():
        attack.run(oracle, seeds)
