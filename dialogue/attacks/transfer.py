"""The transfer attack of AdvAgent (Cheng, Wei, Hsieh, NAACL 2019), section 3.2.2.2: a black-box attack.

A sentence that has won one dialogue is said in another. The list L holds the last sentences that an adversary said in
dialogues of high reward; after n utterances one of them, drawn by chance, takes the place of the regular one.

Deviations: the list is made on other scenarios than those that are reported, the most frequent sentences first; the
authors' code has one sentence, written into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dialogue.agent import NegotiationAgent, Talk
from dialogue.domain import Scenario
from dialogue.types import SELECTION, Attempt, DialogueRecord, Utterances
from textadv.noise import series, uniform

HIGH = 5  # points more than the target
MOST = 100  # sentences of the list
DRAWN = 7  # the series of random numbers that sentences are drawn by


def winning_sentences(records: Iterable[DialogueRecord]) -> list[str]:
    """The last sentences of the first agent in dialogues that it won by `HIGH` points or more, the commonest first."""
    last = Counter[str]()
    for record in records:
        pairs = zip(record.speakers, record.turns, strict=True)
        own = [text for speaker, text in pairs if speaker == 0 and text != SELECTION]
        if own and record.score - record.partner_score >= HIGH:
            last[own[-1]] += 1
    return [text for text, _ in last.most_common(MOST)]


def drawn(said: Utterances, where: Tensor, sentences: Sequence[str], seeds: Tensor, turns: Tensor) -> Utterances:
    """Utterances with one of `sentences` in place of each that `where` (n,) says, by the dialogue's own chance."""
    number = uniform(series(seeds, DRAWN), turns)
    texts = [
        sentences[int(part * len(sentences))] if replace else text
        for text, replace, part in zip(said.texts(), where.tolist(), number.tolist(), strict=True)
    ]
    return Utterances.of(texts, said.vocabulary).to(said.ids.device)


@dataclass
class TransferMemory:
    """What the adversary remembers: its speaking module's talk, utterances so far (B,), whether it has acted (B,).

    `attempts`: one for each of its turns.
    """

    own: Talk
    spoken: Tensor
    acted: Tensor
    attempts: list[list[Attempt]]


class TransferAdversary:
    """Says one of `sentences` at its first turn after `turn` utterances, and else what `speaker` would say."""

    def __init__(self, speaker: NegotiationAgent, sentences: Sequence[str], turn: int) -> None:
        self.speaker, self.sentences, self.turn = speaker, sentences, turn

    def begin(self, scenarios: Sequence[Scenario], seeds: Tensor) -> TransferMemory:
        own = self.speaker.begin(scenarios, seeds)
        spoken, acted = torch.zeros_like(own.lengths), torch.zeros_like(own.lengths, dtype=torch.bool)
        return TransferMemory(own, spoken, acted, [[] for _ in scenarios])

    def read(self, memory: TransferMemory, rows: Tensor, said: Utterances, *, own: bool = False) -> None:
        self.speaker.read(memory.own, rows, said, own=own)
        memory.spoken[rows] += 1

    def write(self, memory: TransferMemory, rows: Tensor) -> Utterances:
        rows = rows.to(memory.spoken.device)
        said = self.speaker.write(memory.own.fork(rows), torch.arange(len(rows), device=rows.device))
        due = (memory.spoken[rows] >= self.turn) & ~memory.acted[rows] & ~said.ends_talk()
        for row, text, acts in zip(rows.tolist(), said.texts(), due.tolist(), strict=True):
            memory.attempts[row].append(Attempt("transfer" if acts else "regular", text))
        said = drawn(said, due, self.sentences, memory.own.seeds[rows], memory.own.turns[rows])
        memory.acted[rows] |= due
        self.read(memory, rows, said, own=True)
        return said

    def choose(self, memory: Any, rows: Tensor) -> Tensor:
        raise NotImplementedError("the adversary takes what the target leaves")
