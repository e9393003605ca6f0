"""The words of the package: what an attack is given and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from textadv.decoding import Decoded
    from textadv.victim import Victim


@dataclass(frozen=True)
class Example:
    """One sentence to attack. `reference` is the data set's own output, if it has one."""

    example_id: int
    source: str
    reference: str | None = None
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttackRecord:
    """What became of one sentence; enough to check it again without the attack.

    Outputs are decoded text under the reporting settings. For a failed attack `adversarial` is the most
    promising sentence met; for a skipped one it is the original.
    """

    example_id: int
    seed: int
    success: bool  # the run's goal, judged on `adversarial_output`
    queries: int  # examples shown to the victim
    seconds: float  # this example's share of its batch's wall time
    original: str
    adversarial: str
    skipped: str | None  # why the sentence was not attacked
    keywords: list[str]  # empty for the non-overlapping goal
    reference: str | None
    clean_output: str
    adversarial_output: str
    changed_words: int
    input_bleu: float  # adversarial against original source, 0 to 1: the paper's mean of BLEU-1..4
    output_bleu: float  # adversarial against clean output, 0 to 1: smoothed sentence BLEU
    success_disjoint: bool  # the outputs share no word
    success_half_bleu: bool  # output_bleu is at most half of the clean output's own (which is 1)
    search_success: bool  # the greedy outputs inside the search claimed success
    found_by: str | None  # the part of the attack that found the recorded sentence


@dataclass(frozen=True)
class TransferRecord:
    """What one victim makes of an adversarial sentence that an attack found, perhaps on another victim.

    Outputs are this victim's own, under the reporting settings, and so is the clean output that success is judged
    against.
    """

    example_id: int  # number of the pair of sentence and victim
    seed: int  # the attack's
    success: bool  # the attack's goal
    queries: int  # examples shown to the victim
    seconds: float  # this pair's share of its batch's wall time
    original: str
    adversarial: str
    skipped: str | None  # why the pair doesn't count
    keywords: list[str]  # empty for the non-overlapping goal
    run: str  # the attack's run folder
    sentence: int  # example_id of its record there
    victim: str
    own: bool  # the victim is the one that was attacked, decoded as it was then
    clean_output: str
    adversarial_output: str
    changed_words: int
    output_bleu: float  # as in AttackRecord, and so are the next two
    success_disjoint: bool
    success_half_bleu: bool


@dataclass(frozen=True)
class CleanOutput:
    """What a victim makes of one sentence that nobody has attacked, under the reporting settings."""

    example_id: int
    seconds: float  # this sentence's share of its batch's wall time
    source: str
    reference: str
    output: str

    @classmethod
    def of(cls, example: Example, output: str, *, seconds: float) -> CleanOutput:
        """The record of an example that has a reference."""
        return cls(example.example_id, seconds, example.source, example.reference or "", output)


class CountedVictim:
    """A victim that counts how often each of B examples is shown to it: one row of one pass is one query.

    A greedy or beam decoding of a sentence is one query, and so is a teacher-forced pass.
    """

    def __init__(self, victim: Victim, count: int) -> None:
        self._victim = victim
        self.queries = [0] * count

    def _count(self, rows: Tensor) -> None:
        for row in rows.tolist():
            self.queries[row] += 1

    def logits(self, embeds: Tensor, mask: Tensor, outputs: Tensor, rows: Tensor) -> Tensor:
        """`Victim.logits` of rows (N,)."""
        self._count(rows)
        return self._victim.logits(embeds, mask, outputs)

    def greedy(self, source: Tensor, mask: Tensor, rows: Tensor, observe: Any = None) -> Decoded:
        """`Victim.greedy` of rows (N,)."""
        self._count(rows)
        return self._victim.greedy(source, mask, observe)

    def generate(self, texts: Sequence[str], rows: Tensor) -> list[str]:
        """`Victim.generate` of rows (N,)."""
        self._count(rows)
        return self._victim.generate(texts)

    def generate_pieces(self, texts: Sequence[str], rows: Tensor) -> Tensor:
        """`Victim.generate_pieces` of rows (N,)."""
        self._count(rows)
        return self._victim.generate_pieces(texts)

    def decode(self, outputs: Tensor) -> list[str]:
        """`Victim.decode`: no query."""
        return self._victim.decode(outputs)
