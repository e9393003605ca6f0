"""The preemptive attack of AdvAgent (Cheng, Wei, Hsieh, NAACL 2019), section 3.2.3.3, (3.12).

After n utterances the adversary changes at most two words of what it would say; it lets the target reply, and ends the
talk. The sentence is chosen for what the target decides then, through its own reply.

Deviations: the reply is sampled, so candidates are scored on one reply each, of common random numbers, and the best one
on more; what counts is one fresh reply, where the authors' code keeps the one that was found in the search.
"""

from __future__ import annotations

from torch import Tensor

from dialogue.attacks.white_box import Memory, WhiteBoxAdversary
from dialogue.types import Utterances


class PreemptiveAdversary(WhiteBoxAdversary):
    """Attacks once, at its first turn after `turn` utterances, and ends the talk at the next."""

    def attack(self, memory: Memory, rows: Tensor, base: Utterances) -> Utterances:
        base = self.closed(memory, rows, base)
        due = (memory.spoken[rows] >= self.config.turn) & ~memory.acted[rows]
        said, found = self.replaced(memory, rows, base, due, "preemptive", only_successes=False)
        memory.acted[rows] |= due
        memory.closing[rows] |= found
        return said
