"""Puts original words back into confirmed adversarial sentences while the goal still holds.

Not in the paper. Every changed word of every sentence is tried at once, each in a sentence of its own that is
decoded as for the report; the first whose sentence still meets the goal is put back for good, and the rest are
tried again, until none can be.
"""

import torch
from torch import Tensor

from textadv.confirmation import NONE_YET, Confirmation


def restore(confirmed: Confirmation, rows: Tensor) -> None:
    """Lowers the number of changed words of the confirmed successes among `rows`."""
    sources = confirmed.sources
    while len(rows := rows[(confirmed.words[rows] > 1) & (confirmed.words[rows] < NONE_YET)]):
        found = confirmed.ids[rows]  # (n, T)
        example, position = (found != sources.ids[rows]).nonzero().unbind(1)
        tries = found[example].clone()
        at = torch.arange(len(tries), device=tries.device)
        tries[at, position] = sources.ids[rows][example, position]
        before = confirmed.words[rows].clone()
        confirmed.offer(rows[example], tries, by="restoration")
        rows = rows[confirmed.words[rows] < before]
