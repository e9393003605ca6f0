"""The search of another package under our conditions: it brings sentences, and we decode, count and judge them.

The peer is given a sentence, its clean output, and a victim that answers texts with the outputs that would be reported.
It may write any text, and ends with one sentence. That is judged by our goal, whatever the peer itself says of it; what
it says goes into `search_success`. It has no budget of ours: a sentence that changes more words than wanted is for the
reader of the records to count as a failure.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from textadv.attack import attack, non_overlapping_goal, not_blank
from textadv.confirmation import Confirmation
from textadv.noise import example_seeds
from textadv.types import AttackRecord, Example
from textadv.vocabulary import Vocabulary


class Peer(Protocol):
    """What a peer does for one sentence.

    `victim(texts)` returns the reported output of each; a text that is asked for again costs no query. `seed` is below
    2**32 and depends on nothing but the run's seed and the example.
    """

    def __call__(
        self, sentence: str, clean_output: str, victim: Callable[[Sequence[str]], list[str]], *, seed: int
    ) -> tuple[str, bool]:
        """The adversarial sentence, and whether the peer takes it for a success."""
        ...


def peer(
    vocabulary: Vocabulary,
    examples: Sequence[Example],
    *,
    search: Peer,
    name: str,
    seed: int,
    on_finished: Callable[[int], None] = lambda count: None,
) -> list[AttackRecord]:
    """Lets `search` attack the sentences of a batch one after the other, for the non-overlapping goal.

    Args:
        vocabulary: through it the victim; a peer writes what it likes.
        name: what `found_by` is to say.
        on_finished: told of each sentence that is done.

    Returns:
        one record for each example, in order.
    """
    seeds = [value % 2**32 for value in example_seeds(seed, [one.example_id for one in not_blank(examples)]).tolist()]

    def one_by_one(confirmed: Confirmation, rows: Tensor) -> None:
        for row in rows.tolist():

            def victim(texts: Sequence[str], row: int = row) -> list[str]:
                return confirmed.reported(row, texts)

            text, claimed = search(confirmed.sources.texts[row], confirmed.outputs[row], victim, seed=seeds[row])
            confirmed.offer_text(row, text, claimed=claimed, by=name)
            on_finished(1)

    return attack(vocabulary, examples, goal=non_overlapping_goal, search=one_by_one, seed=seed)
