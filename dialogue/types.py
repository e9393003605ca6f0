"""The words of the package: utterances, what a negotiator must do, and the record of a dialogue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dialogue.domain import Scenario

YOU, THEM, EOS, SELECTION, UNK, PAD = "YOU:", "THEM:", "<eos>", "<selection>", "<unk>", "<pad>"
WORD = re.compile(r"<\w+>|[\w']+|[^\w\s]")
MARKS = (EOS, UNK, SELECTION, PAD)  # the first words of every vocabulary, in the original's order


@dataclass(frozen=True)
class Utterances:
    """What n speakers say: words by number (n, L), each row `<eos>` or `<selection>` at its end, then padding.

    Args:
        ids: (n, L) numbers of words.
        lengths: (n,) words of each row, its end included.
        vocabulary: the word of each number.
    """

    ids: Tensor
    lengths: Tensor
    vocabulary: tuple[str, ...]

    @classmethod
    def of(cls, texts: Sequence[str], vocabulary: tuple[str, ...]) -> Utterances:
        """Texts with their ends, words separated by spaces; words that aren't in the vocabulary become `<unk>`."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        number = {word: i for i, word in enumerate(vocabulary)}
        rows = [torch.tensor([number.get(word, number[UNK]) for word in text.split()]) for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        return cls(pad_sequence(rows, batch_first=True, padding_value=number[PAD]), lengths, vocabulary)

    def texts(self) -> list[str]:
        """The words of each row, its end included."""
        rows = zip(self.ids.tolist(), self.lengths.tolist(), strict=True)
        return [" ".join(map(self.vocabulary.__getitem__, row[:length])) for row, length in rows]

    def within(self, vocabulary: tuple[str, ...]) -> Utterances:
        """The same in another vocabulary; words that it doesn't have become `<unk>`."""
        if vocabulary == self.vocabulary:
            return self
        number = {word: i for i, word in enumerate(vocabulary)}
        table = self.ids.new_tensor([number.get(word, number[UNK]) for word in self.vocabulary])
        return Utterances(table[self.ids], self.lengths, vocabulary)

    def ends_talk(self) -> Tensor:
        """(n,) whose end is `<selection>`: the talk is over."""
        import torch

        last = self.ids[torch.arange(len(self.ids), device=self.ids.device), self.lengths - 1]
        return last == self.vocabulary.index(SELECTION)

    def to(self, device: torch.device) -> Utterances:
        """The same on a device."""
        return Utterances(self.ids.to(device), self.lengths.to(device), self.vocabulary)


def as_utterance(sentence: str) -> str:
    """The first line of a sentence in the corpus's form: words in lower case, punctuation apart, `<eos>` behind them.

    What holds `<selection>` is that alone; other words in angle brackets, which could be marks, are left out.
    """
    if SELECTION in sentence:
        return SELECTION
    lines = sentence.strip().splitlines()
    words = WORD.findall(lines[0].lower()) if lines else []
    return " ".join([*(word for word in words if not word.startswith("<")), EOS])


class Agent(Protocol):
    """A negotiator, in many dialogues at once. `talk` is what it remembers of them; `rows` (n,) are some of them."""

    def begin(self, scenarios: Sequence[Scenario], seeds: Tensor) -> Any:
        """The talk of B dialogues of which nothing is said yet: it sees its own values of each scenario.

        Args:
            seeds: (B,) of its randomness, one for each dialogue.
        """
        ...

    def read(self, talk: Any, rows: Tensor, said: Utterances, *, own: bool = False) -> None:
        """Hears what the partner says in `rows`; with `own`, says it itself, whatever it would have said."""
        ...

    def write(self, talk: Any, rows: Tensor) -> Utterances:
        """Says something in `rows`."""
        ...

    def choose(self, talk: Any, rows: Tensor) -> Tensor:
        """(n,) what it takes in `rows`: legal choices of `domain`."""
        ...


@dataclass(frozen=True)
class DialogueRecord:
    """One dialogue of two agents, seen from the first one's chair. `success` is agreement.

    `turns` are utterances with their ends; `speakers` say which agent each is of, 0 or 1. A choice is a share, own
    items of each kind, or empty for no deal. `queries` counts the partner's turns: how often it had to answer.
    """

    example_id: int
    seed: int
    success: bool
    queries: int
    seconds: float
    original: str
    adversarial: str
    counts: list[int]
    values: list[int]
    partner_values: list[int]
    speakers: list[int]
    turns: list[str]
    choice: list[int]
    partner_choice: list[int]
    score: int
    partner_score: int
    cut: bool  # the limit of turns ended the talk, and nobody's <selection>


@dataclass(frozen=True)
class Attempt:
    """What an adversary made of one sentence. `kind` says which attack it is; a "regular" one was left as it was.

    `base` is what the speaking module wanted to say; `reply` is one thing that the target could have said to that, and
    `choice` the share that it would have taken if the talk had ended there, empty for none. `loss` is that of what was
    said, None where the constraints are broken; `perplexity_ratio` how much less likely it is than `base` to the
    adversary's speaking module.
    """

    kind: str
    base: str
    loss: float | None = None
    perplexity_ratio: float = 1.0
    reply: str = ""
    choice: tuple[int, ...] = ()


@dataclass(frozen=True)
class AttackRecord(DialogueRecord):
    """One dialogue of an adversary, the first agent, and the target. `success`: the adversary got more points.

    `original` are the adversary's sentences as its speaking module wanted them, `adversarial` as they were said.
    Of each of the adversary's turns: `kinds`, the attack that it was; `bases`, the sentence of the speaking module;
    `losses`, None where nothing was found or searched; `perplexity_ratios`; `unattacked_replies`, what the target could
    have said to the base, and `unattacked_choices`, what it would have taken then ("" for no deal).
    `queries` counts sentences that the target heard, those that were only tried included; `candidates` those that were
    scored, and `decisions` how often its decision module ran for them.
    """

    kinds: list[str]
    bases: list[str]
    losses: list[float | None]
    perplexity_ratios: list[float]
    unattacked_replies: list[str]
    unattacked_choices: list[str]
    candidates: int
    decisions: int
