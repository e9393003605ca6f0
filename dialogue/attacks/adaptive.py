"""Algorithm 7 of AdvAgent (Cheng, Wei, Hsieh, NAACL 2019): what to say, and when to say it.

At every turn the adversary tries the reactive attack on the sentence that it would say; where that finds nothing, the
preemptive one; and where that finds nothing either, it says the sentence as it is (a delayed attack, RA+PA+DA) or one
of the transfer attack's (RA+PA+TA).

Deviations: one sentence is drawn a turn, from which both attacks start; the authors' code draws a new one for each and
keeps them all in the adversary's memory, as if they had been said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from dialogue.agent import NegotiationAgent
from dialogue.attacks.transfer import drawn
from dialogue.attacks.white_box import Memory, WhiteBoxAdversary
from dialogue.configs import AttackConfig
from dialogue.types import Utterances


class AdaptiveAdversary(WhiteBoxAdversary):
    """Attacks at every turn; `sentences` are what RA+PA+TA falls back to, none for RA+PA+DA."""

    def __init__(
        self,
        speaker: NegotiationAgent,
        target: NegotiationAgent,
        config: AttackConfig,
        sentences: Sequence[str] = (),
    ) -> None:
        super().__init__(speaker, target, config)
        self.sentences = sentences

    def attack(self, memory: Memory, rows: Tensor, base: Utterances) -> Utterances:
        regular = self.closed(memory, rows, base)
        open_ = ~regular.ends_talk()
        said, reacted = self.replaced(memory, rows, regular, open_, "reactive", only_successes=True)
        said, preempted = self.replaced(memory, rows, said, open_ & ~reacted, "preemptive", only_successes=True)
        memory.closing[rows] |= preempted
        left = open_ & ~reacted & ~preempted
        if not self.sentences or not left.any():
            return said
        for row in rows[left].tolist():
            memory.attempts[row][-1] = replace(memory.attempts[row][-1], kind="transfer")
        return drawn(said, left, self.sentences, memory.own.seeds[rows], memory.own.turns[rows])
