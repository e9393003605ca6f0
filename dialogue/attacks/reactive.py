"""The reactive attack of AdvAgent (Cheng, Wei, Hsieh, NAACL 2019), section 3.2.3.2, (3.9)-(3.11).

After n utterances the adversary changes at most two words of what it would say, so that the target answers
`<selection>` and decides in the adversary's favour. Before and after that it speaks as a regular agent.

Deviations: n counts the utterances of both sides, and the attack comes at the adversary's first turn from there on;
where no sentence keeps to (3.9) the regular one is said. See `search` and `goal` for theirs.
"""

from __future__ import annotations

from torch import Tensor

from dialogue.attacks.white_box import Memory, WhiteBoxAdversary
from dialogue.types import Utterances


class ReactiveAdversary(WhiteBoxAdversary):
    """Attacks once, at its first turn after `turn` utterances."""

    def attack(self, memory: Memory, rows: Tensor, base: Utterances) -> Utterances:
        due = (memory.spoken[rows] >= self.config.turn) & ~memory.acted[rows]
        said, _ = self.replaced(memory, rows, base, due, "reactive", only_successes=False)
        memory.acted[rows] |= due
        return said
