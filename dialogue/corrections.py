"""What a target should have said and decided when it was attacked: what it would have, had nothing been changed.

Adversarial training of AdvAgent (3.13) in its usual form (Madry et al., ICLR 2018, arXiv:1706.06083), for white-box
attacks: the attack is the inner maximization, and the target learns from the sentences that it found. A changed word or
two is taken not to change who should have what, which is true of most words, though not of items and numbers; so the
right answer to such a sentence, and the right decision behind it, are those that the target has for the sentence as it
was. The records of an attack tell both.

Each attacked sentence gives three dialogues: its own with the right answer; the same with the unchanged sentence, so
that the target stays as it is; and what really happened, of which the decision alone is learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialogue.agent import NegotiationOutput, word_losses
from dialogue.data import Dialogue
from dialogue.domain import NO_DEAL, SHARES, Scenario, triple
from dialogue.reinforce import own_words
from dialogue.supervised import Views, collate
from dialogue.types import SELECTION, THEM, YOU, AttackRecord

MARK = {0: THEM, 1: YOU}  # of a record's speakers, for the target


@dataclass(frozen=True)
class Corrections:
    """N dialogues that end as they should have, from the target's chair.

    batch: the arguments of `NegotiationAgent.forward`, choices included. answers: (N, T) the words that are learnt.
    """

    batch: dict[str, Tensor]
    answers: Tensor

    @classmethod
    def of(cls, records: Sequence[AttackRecord], vocabulary: Sequence[str]) -> Corrections | None:
        """Those of all attacked sentences of some records; None if there are none."""
        found = [one for record in records for one in _corrected(record)]
        if not found:
            return None
        batch = collate([*Views(vocabulary, [dialogue for dialogue, _ in found])])
        words = batch["input_ids"]
        place, you = torch.arange(words.shape[1]), words == vocabulary.index(YOU)
        last = place.where(you, -1).amax(1, keepdim=True)
        learnt = torch.tensor([is_learnt for _, is_learnt in found])
        answers = own_words(words, batch["lengths"], vocabulary) & (place > last) & learnt[:, None]
        return cls(batch, answers)

    def to(self, device: torch.device) -> Corrections:
        """The same on a device."""
        return Corrections({name: one.to(device) for name, one in self.batch.items()}, self.answers.to(device))

    def loss(self, output: NegotiationOutput) -> Tensor:
        """Of the answers' words and of the decisions, a mean of each, in nats; of the output for `batch`."""
        assert output.logits is not None and output.selection_loss is not None
        answers = self.answers[:, 1:]
        words = word_losses(output.logits, self.batch["input_ids"], self.batch["lengths"]) * answers
        return words.sum() / answers.sum().clamp(min=1) + output.selection_loss


def _corrected(record: AttackRecord) -> list[tuple[Dialogue, bool]]:
    """The dialogues of a record, each with whether its last answer is learnt."""
    scenario = Scenario(*map(triple, (record.counts, record.partner_values, record.values)))  # from the target's chair
    turns = list(zip(record.speakers, record.turns, strict=True))
    own = [i for i, speaker in enumerate(record.speakers) if speaker == 0]
    found = []
    # The limit of turns may have ended the talk for the adversary, so that it has one turn more than attempts.
    for number, i in enumerate(own[: len(record.kinds)]):
        if record.kinds[number] not in ("reactive", "preemptive"):
            continue
        share = record.unattacked_choices[number].split()
        choice = SHARES.index(triple([*map(int, share)])) if share else NO_DEAL
        right = (1, record.unattacked_replies[number])
        ends = [
            ([turns[i], right], True),
            ([(0, record.bases[number]), right], True),
            (turns[i : i + 2], False),
        ]
        found += [(_dialogue(scenario, turns[:i] + end, choice), is_learnt) for end, is_learnt in ends]
    return found


def _dialogue(scenario: Scenario, turns: list[tuple[int, str]], choice: int) -> Dialogue:
    """A dialogue from the target's chair; the adversary ends it if it isn't over."""
    if not turns[-1][1].endswith(SELECTION):
        turns = [*turns, (0, SELECTION)]
    words = tuple(word for speaker, said in turns for word in (MARK[speaker], *said.split()))
    return Dialogue(scenario, words, "deal", choice)
